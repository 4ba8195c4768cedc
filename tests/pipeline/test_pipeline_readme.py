"""What the README names exists; its commands are run by test_pipeline_demo.py."""

import re
import subprocess
from pathlib import Path

from checkout import commands

MAKE_TARGETS = re.compile(r"^make(?: (?P<target>[a-z]+))?(?P<arguments>(?: [A-Z]+=\S+)*)$")


def test_make_commands_exist(readme: str, repository: Path) -> None:
    """Every `make` line is understood by make and by conf/ (make itself is run by make repro, make test and CI)."""
    made = [line for line in commands(readme) if line.startswith("make")]
    assert {"make repro", "make test", "make ui"} <= set(made)
    for line in made:
        match = MAKE_TARGETS.fullmatch(line)
        assert match, line
        result = subprocess.run([*line.split(), "--dry-run"], cwd=repository, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        for argument in match["arguments"].split():
            name, value = argument.split("=")
            assert (repository / "conf" / name.lower() / f"{value}.yaml").is_file(), line


def test_linked_files_exist(readme: str, repository: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (repository / target).exists(), target
