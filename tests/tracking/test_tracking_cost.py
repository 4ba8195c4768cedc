"""What a stage pays for its record."""

import os
import subprocess
import sys
from pathlib import Path

from pipeline_lib.tracking.stage_run import stage_run


def test_no_heavy_package_is_imported(workplace: Path) -> None:
    code = (
        "import sys\n"
        "from pipeline_lib.tracking.stage_run import stage_run\n"
        "with stage_run('align', {'a': 1}, {}) as run:\n"
        "    run.log_metrics({'x': 1.0})\n"
        "heavy = {'mlflow', 'torch', 'pandas', 'numpy', 'pyarrow', 'sqlalchemy', 'requests'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_record_takes_milliseconds(workplace: Path, repository: Path) -> None:
    """With the repository's own params and a lock of its size: 50 ms of a core, git's processes included, on a busy machine.

    About 20 ms here, most of it reading the lock and the packages' versions.
    """
    Path("params.yaml").write_text((repository / "params.yaml").read_text())
    stage = "  s{0}:\n    cmd: x\n    outs:\n" + "".join(
        f"    - path: data/s{{0}}/{name}\n      md5: {'1' * 32}\n      size: 1\n" for name in "abcdefgh"
    )
    Path("dvc.lock").write_text("schema: '2.0'\nstages:\n" + "".join(stage.format(number) for number in range(33)))
    inputs = {f"s{number}": Path(f"data/s{number}") for number in range(5)}
    for path in inputs.values():
        path.mkdir(parents=True)
        (path / "a").write_text("1")
    taken = []
    for _ in range(5):
        before = os.times()
        with stage_run("align", {"a": {"b": 1}}, inputs) as run:
            run.log_metrics({"x": 1.0})
        taken.append(sum(os.times()[:4]) - sum(before[:4]))
    assert min(taken) < 0.05, taken
