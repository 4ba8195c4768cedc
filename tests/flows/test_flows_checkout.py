"""A checkout without git's history, as a downloaded archive is."""

import subprocess
from pathlib import Path

import pytest

from flows.dvc_graph import read_pipeline
from pipeline_lib.checkout import check_checkout
from pipeline_lib.core.errors import PipelineError


def unpacked(folder: Path, config: str = "[core]\n    analytics = false\n") -> Path:
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text(config)
    (folder / "dvc.yaml").write_text("stages: {}\n")
    return folder


def test_archive_says_what_to_do_and_then_works(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "archive")
    with pytest.raises(PipelineError, match="git init && git add --all && git commit"):
        read_pipeline(folder)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    assert read_pipeline(folder).graph == {}


def test_dvc_that_was_told_to_do_without_git_does(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "archive", "[core]\n    no_scm = true\n")
    assert read_pipeline(folder).graph == {}


def test_folder_below_a_repository_or_without_dvc_is_no_archive(tmp_path: Path) -> None:
    check_checkout(tmp_path)
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")  # a worktree's
    check_checkout(unpacked(tmp_path / "inside"))
