"""What a person sees when a stage's command fails."""

import subprocess
import sys
from pathlib import Path


def run(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    prefix = "from stages.common import run_stage\nfrom pipeline_lib.core.errors import DataError\n"
    return subprocess.run([sys.executable, "-c", prefix + code], cwd=cwd, capture_output=True, text=True)


def test_a_user_s_error_has_no_traceback(repository: Path) -> None:
    result = run(
        "def main() -> None:\n    raise DataError('too few', got=1, where='a.parquet')\nrun_stage(main)", repository
    )
    assert result.returncode == 1
    assert result.stderr == "DataError: too few\n  got: 1\n  where: a.parquet\n"


def test_a_full_disk_has_no_traceback(repository: Path) -> None:
    code = "def main() -> None:\n    with open('/dev/full', 'w') as handle:\n        handle.write('x' * 100000)\nrun_stage(main)"
    result = run(code, repository)
    assert result.returncode == 1
    assert result.stderr == "OSError: [Errno 28] No space left on device\n"


def test_a_bug_keeps_its_traceback(repository: Path) -> None:
    result = run("def main() -> None:\n    raise KeyError('x')\nrun_stage(main)", repository)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
