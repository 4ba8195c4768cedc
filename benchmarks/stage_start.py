"""What a stage costs beside its work: starting Python, importing what the stage imports, opening its record.

    python -m benchmarks.stage_start            every stage of dvc.yaml, five starts each
    python -m benchmarks.stage_start --quick    two stages, two starts

`python` is an interpreter that does nothing, `imports` one that imports the stage, `record` an empty stage_run within it, in
turn. DVC's own share is measured on a pipeline of one stage that is up to date.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.common import report, seconds, spread

REPOSITORY = Path(__file__).parent.parent
RECORD = """
from pathlib import Path
from pipeline_lib.tracking.stage_run import stage_run
with stage_run("bench", {}, {}):
    pass
"""


def started(code: str, folder: Path) -> float:
    """Seconds of one interpreter that runs `code` in `folder`."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n{code}"]
    return seconds(lambda: subprocess.run(command, check=True, cwd=folder, capture_output=True))


def measure(modules: list[str], repeats: int) -> list[dict[str, object]]:
    """A row a stage's module; medians, and the imports' spread."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for module in modules:
            codes = ("pass", f"import {module}", f"import {module}\n{RECORD}")
            started(codes[2], folder)  # compiled and in the page cache
            turns = [[started(code, folder) for code in codes] for _ in range(repeats)]
            nothing, imports, record = (spread(column) for column in zip(*turns, strict=True))
            rows.append(
                {
                    "stage": module.removeprefix("stages."),
                    "python": nothing["median"],
                    "imports": imports["median"],
                    "record": round(record["median"] - imports["median"], 3),
                    "imports_s": imports,
                }
            )
    return rows


def measure_dvc(repeats: int) -> dict[str, float]:
    """Seconds of `dvc repro` where nothing changed, in a repository of one stage."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "dvc.yaml").write_text("stages: {one: {cmd: echo 1 > out, outs: [out]}}")
        for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
            subprocess.run([sys.executable, "-m", "dvc", *command], check=True, cwd=folder)
        again = [sys.executable, "-m", "dvc", "repro", "--quiet"]
        return spread([seconds(lambda: subprocess.run(again, check=True, cwd=folder)) for _ in range(repeats)])


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]
    commands = [stage.get("do", stage)["cmd"] for stage in stages.values()]
    modules = list(dict.fromkeys(command.split("-m ")[1].split()[0] for command in commands))
    chosen, repeats = (["stages.ingest", "stages.verify"], 2) if quick else (modules, 5)
    report("stage_start", {"repeats": repeats}, measure(chosen, repeats), dvc_s=measure_dvc(repeats))


if __name__ == "__main__":
    main()
