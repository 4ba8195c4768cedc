"""The rebuild: the DVC graph as a Prefect flow, one task a stage, independent stages at once up to a limit."""

import os
import re
import threading
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.dvc_graph import StageFailed, read_metrics, run_stage, stage_graph
from flows.gpus import GpuPool, visible_gpus
from flows.processes import Processes
from pipeline_lib.core.errors import PipelineError
from pipeline_lib.params.load import load_params

TRAINING_STAGES = ("train", "train_region", "train_regions")
gpus = GpuPool(visible_gpus())  # of this process, whose threads the stages' tasks are


def stages_at_once() -> int:
    """STAGES_AT_ONCE, 2 if unset.

    Raises:
        PipelineError: it is no whole number above 0.
    """
    text = os.environ.get("STAGES_AT_ONCE", "2")
    if not text.isdecimal() or int(text) < 1:
        raise PipelineError("This is not a number of stages.", got=text, allowed="1 or more", where="STAGES_AT_ONCE")
    return int(text)


def threads() -> dict[str, str]:
    """OMP_NUM_THREADS for a stage, its share of the cores, unless it is set.

    More threads than cores wait for each other at the end of every loop, which made an embedding beside another stage
    several times as slow.
    """
    share = max(1, len(os.sched_getaffinity(0)) // stages_at_once())
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(share))}


# Not the task runner's max_workers: its threads also wait for stages upstream, and those would keep ready ones out.
slots = threading.BoundedSemaphore(stages_at_once())
STOP_GRACE_S = 25.0  # a stage may save a checkpoint first; Prefect's worker kills a cancelled flow after 30


# Caching is DVC's alone: two caches would disagree.
@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE)
def build_stage(root: Path, stage: str, processes: Processes) -> "State[str]":
    """Bring one DVC stage up to date; a stage with nothing to do ends in the state Cached.

    Where CUDA_VISIBLE_DEVICES names GPUs, a training stage sees train.num_processes of them, its own while it runs.
    """
    trains = stage.partition("@")[0] in TRAINING_STAGES
    num_gpus = load_params(root / "params.yaml").train.num_processes if trains else 0
    with gpus.lent(num_gpus) as environment, slots:
        outcome = run_stage(root, stage, get_run_logger().info, processes, environment=threads() | environment)
    if outcome == "cached":
        return Completed(name="Cached", message="DVC: nothing changed", data=outcome)
    return Completed(message="DVC: ran", data=outcome)


@flow(name="rebuild", task_runner=ThreadPoolTaskRunner())  # type: ignore[arg-type]
def rebuild(root: str = ".", retries: int = 1, retry_delay_s: float = 10.0) -> dict[str, str]:
    """Bring every stage of dvc.yaml up to date and publish metrics and links as artifacts.

    Args:
        root: the repository's folder.
        retries: how often a failed stage is tried again before the flow fails.
        retry_delay_s: seconds before each such try.

    Returns:
        stage -> "ran" or "cached".

    Raises:
        StageFailed: a stage failed after its retries; stages that do not depend on it have run.
    """
    folder = Path(root).resolve()
    processes = Processes(STOP_GRACE_S)
    one_stage = build_stage.with_options(
        retries=retries, retry_delay_seconds=retry_delay_s, retry_condition_fn=lambda *_: not processes.stopped
    )
    futures: dict[str, PrefectFuture[Any]] = {}
    try:
        for stage, upstream in stage_graph(folder).items():
            futures[stage] = one_stage.submit(
                folder, stage, processes, wait_for=[futures[name] for name in upstream], return_state=False
            )
        for future in futures.values():
            future.wait()
    except BaseException:  # Ctrl-C, or the flow run cancelled: its stages must not outlive it
        processes.stop()
        raise
    states = {stage: future.state for stage, future in futures.items()}
    failed = {stage: state.message for stage, state in states.items() if not state.is_completed()}
    if failed:
        reasons = "\n".join(f"{stage}: {message}" for stage, message in failed.items())
        raise StageFailed(f"{len(failed)} of {len(states)} stages did not complete.\n{reasons}")
    outcomes = {stage: "cached" if state.name == "Cached" else "ran" for stage, state in states.items()}
    publish(folder, outcomes)
    return outcomes


def publish(folder: Path, outcomes: dict[str, str]) -> None:
    """Show what ran, the metrics and the report in Prefect's UI."""
    create_table_artifact(
        key="stages",
        table=[{"stage": stage, "outcome": outcome} for stage, outcome in outcomes.items()],
        description="What ran",
    )
    for file, metrics in read_metrics(folder).items():
        key = re.sub(r"[^a-z0-9]+", "-", file.lower().removeprefix("data/").removesuffix("/metrics.json"))
        rows = [{"metric": name, "value": value} for name, value in flatten(metrics).items()]
        create_table_artifact(key=f"metrics-{key.strip('-')}", table=rows, description=f"`{file}`")
    report = folder / "data" / "report" / "index.html"
    if report.is_file():
        create_link_artifact(
            key="report", link=report.as_uri(), link_text="The report", description="One self-contained page"
        )


def flatten(nested: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a / b": 1}."""
    if not isinstance(nested, dict):
        return {prefix: nested}
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= flatten(value, f"{prefix} / {key}" if prefix else str(key))
    return flat


if __name__ == "__main__":
    rebuild()
