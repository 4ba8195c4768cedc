"""Commit, hardware and versions."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from pipeline_lib.tracking import lineage


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_git_state_ignores_what_a_rebuild_writes(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert lineage.git_state(checkout) == (commit, "clean")
    (checkout / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (checkout / "data").mkdir()
    (checkout / "data" / ".gitignore").write_text("/photos\n")
    assert lineage.git_state(checkout) == (commit, "clean")
    (checkout / "code.py").write_text("2\n")
    assert lineage.git_state(checkout) == (commit, "dirty")


def test_new_code_file_makes_the_checkout_dirty(checkout: Path) -> None:
    (checkout / "new.py").write_text("")
    assert lineage.git_state(checkout)[1] == "dirty"


def test_git_state_outside_a_checkout_is_unknown(tmp_path: Path) -> None:
    assert lineage.git_state(tmp_path) == ("unknown", "unknown")


def test_rebuild_id_is_the_stated_hash() -> None:
    expected = hashlib.sha256(b"abcseed: 1\n").hexdigest()[:12]
    assert lineage.rebuild_id("abc", b"seed: 1\n") == expected
    assert lineage.rebuild_id("abc", b"seed: 2\n") != expected


def test_hardware_and_versions_are_filled() -> None:
    found = lineage.hardware()
    assert int(found["cores"]) >= 1
    assert float(found["memory_gib"]) > 0
    assert found["cpu"]
    assert found["gpu"]
    assert lineage.versions()["mlflow"].startswith("3.")
