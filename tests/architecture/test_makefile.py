"""`make` in a checkout that was renamed or copied: the environment there is that of another folder."""

import shutil
import subprocess
from pathlib import Path


def make_own(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "own"], cwd=folder, capture_output=True, text=True, check=False)


def test_an_environment_of_another_folder_is_refused(repository: Path, tmp_path: Path) -> None:
    old, new, linked = tmp_path / "old", tmp_path / "a new one", tmp_path / "linked"
    (old / ".venv").mkdir(parents=True)
    shutil.copy(repository / "Makefile", old)
    (old / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv {old}/.venv\n")
    assert make_own(old).returncode == 0
    linked.mkdir()
    shutil.copy(repository / "Makefile", linked)
    assert make_own(linked).returncode == 0  # none yet
    (linked / ".venv").symlink_to(old / ".venv")  # on purpose
    assert make_own(linked).returncode == 0
    shutil.copytree(old, new)
    refused = make_own(new)
    assert refused.returncode != 0
    assert f"was made as {old}/.venv" in refused.stderr
    assert "rm -r .venv && make setup" in refused.stderr
