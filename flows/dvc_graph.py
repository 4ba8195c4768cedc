"""The DVC graph as plain data, and one stage's run: the only file here that knows DVC."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flows.processes import Processes
from pipeline_lib.checkout import check_checkout
from pipeline_lib.core.errors import PipelineError

UNCHANGED = "didn't change, skipping"  # the line DVC prints for a stage whose inputs are those of dvc.lock
FROM_RUN_CACHE = "is cached - skipping run, checking out outputs"


class StageFailed(PipelineError):
    """A stage's command ended with an error; its last lines are in the message."""


@dataclass(frozen=True)
class Pipeline:
    """The stages of dvc.yaml, and which of them a rebuild has to look at.

    Attributes:
        graph: each stage's name with the names of those directly upstream, in an order in which they can run.
        stale: the stages that changed, and all downstream of them.
    """

    graph: dict[str, list[str]]
    stale: set[str]


def read_pipeline(root: Path) -> Pipeline:
    """One look at all stages, which takes as long as one process that finds nothing to do in one of them.

    Raises:
        PipelineError: dvc.yaml is missing or wrong, the message is DVC's; or there is no git.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage import PipelineStage
    from networkx import topological_sort

    check_checkout(root)
    try:
        repo = Repo(str(root))
        graph = repo.index.graph
        # A `.dvc` file (dvc add) is a node too, but has no name and nothing to run.
        upstream_first = [node for node in reversed(list(topological_sort(graph))) if isinstance(node, PipelineStage)]
        with repo.lock:
            stale = {stage.name for stage in upstream_first if stage.status(check_updates=True)}
    except DvcException as error:
        raise PipelineError("DVC cannot read the pipeline.", got=error, where=root / "dvc.yaml") from error
    names = {
        stage.name: sorted(up.name for up in graph.successors(stage) if isinstance(up, PipelineStage))
        for stage in upstream_first
    }
    for stage, upstream in names.items():
        if stale & set(upstream):
            stale.add(stage)
    return Pipeline(names, stale)


def run_stage(
    root: Path,
    stage: str,
    log: Callable[[str], None],
    processes: Processes,
    force: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Literal["ran", "cached"]:
    """Bring one stage up to date with `dvc repro --single-item`, passing its output to `log` line by line.

    It runs among `processes`, by which another thread can stop it. `environment` adds to this process's own. Returns "cached"
    if DVC found nothing to run. The stages upstream must be up to date and none of them running.

    Raises:
        StageFailed: the command's exit code was not 0.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), stage]
    # The stages' own `python` and `torchrun` must be those of this environment, also when it was not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, **(environment or {}), "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1"}
    tail: list[str] = []
    cached = False
    with processes.start(command, cwd=root, env=environment) as process:
        for line in _lines(process):
            log(line)
            tail = [*tail[-20:], line]
            cached = cached or UNCHANGED in line or FROM_RUN_CACHE in line
    if process.returncode != 0:
        raise StageFailed(f"Stage {stage} failed with exit code {process.returncode}:\n" + "\n".join(tail))
    return "cached" if cached else "ran"


def read_metrics(root: Path) -> dict[str, dict[str, object]]:
    """What `dvc metrics show` shows for the workspace: metrics file -> its (nested) content."""
    from dvc.repo import Repo

    shown = Repo(str(root)).metrics.show()
    return {name: entry["data"] for name, entry in shown[""]["data"].items() if "data" in entry}


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    if process.stdout is None:
        return
    for line in process.stdout:
        if line.strip():
            yield line.rstrip()
