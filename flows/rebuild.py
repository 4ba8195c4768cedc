"""The rebuild: the DVC graph as a Prefect flow, one task a stage, independent stages at once up to a limit."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.runtime import deployment, flow_run
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.dvc_graph import StageFailed, read_pipeline, run_stage
from flows.gpus import GpuPool, visible_gpus
from flows.processes import Processes
from flows.publish import publish
from pipeline_lib.data.photos.bad_entries import check_entries
from pipeline_lib.leftovers import remove_leftovers
from pipeline_lib.params.load import PARAMS_FILE
from pipeline_lib.params.machine import STAGES_AT_ONCE, Machine, load_machine
from pipeline_lib.params.whole import load_params
from pipeline_lib.tracking.lineage import git_state

# Groups of stages that compute on a GPU where there is one; the others are shown none.
GPU_STAGES = {"align", "attack", "build_anchors", "explain", "rerank"}
GPU_STAGES |= {"train", "train_over", "train_region", "train_regions"}
GPU_STAGES |= {"embed", "embed_over", "embed_gallery", "embed_region", "embed_regions"}
gpus = GpuPool(visible_gpus())  # of this process, whose threads the stages' tasks are
machine = load_machine()
# Not the task runner's max_workers: its threads also wait for stages upstream, and those would keep ready ones out.
slots = threading.BoundedSemaphore(machine.stages_at_once)
STOP_GRACE_S = 25.0  # a stage may save a checkpoint first; Prefect's worker kills a cancelled flow after 30


def num_gpus(stage: str, machine: Machine) -> int:
    """How many a stage is lent: as many as it starts processes, or its share of them all."""
    if stage.partition("@")[0] not in GPU_STAGES or not gpus.size:
        return 0
    return max(1, gpus.size // machine.stages_at_once) if machine.processes == "auto" else machine.processes


def shares(machine: Machine) -> dict[str, str]:
    """A stage's share of the cores: OMP_NUM_THREADS, unless it is set, and how many stages there are to share with.

    More threads than cores wait for each other at the end of every loop, which made an embedding beside another stage
    several times as slow.
    """
    share = max(1, len(os.sched_getaffinity(0)) // machine.stages_at_once)
    threads = os.environ.get("OMP_NUM_THREADS", str(share))
    return {"OMP_NUM_THREADS": threads, STAGES_AT_ONCE: str(machine.stages_at_once)}


# Caching is DVC's alone: two caches would disagree.
@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE)
def build_stage(root: Path, stage: str, processes: Processes) -> "State[str]":
    """Bring one DVC stage up to date; a stage with nothing to do ends in the state Cached."""
    with gpus.lent(num_gpus(stage, machine)) as environment, slots:
        outcome = run_stage(root, stage, get_run_logger().info, processes, environment=shares(machine) | environment)
    return cached() if outcome == "cached" else Completed(message="DVC: ran", data=outcome)


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE)
def unchanged_stage(stage: str) -> "State[str]":
    """Show a stage of which DVC knows already that nothing changed; no process is started for it."""
    return cached()


def cached() -> "State[str]":
    """The state of a stage that had nothing to do."""
    return Completed(name="Cached", message="DVC: nothing changed", data="cached")


def run_name() -> str:
    """Of a flow run: `nightly 2026-11-28 02:00 UTC, commit 7a2f0f4`; one that no deployment started is `by hand`."""
    commit, state = git_state(Path(flow_run.parameters["root"]))
    changed = " and changes" if state == "dirty" else ""
    return f"{deployment.name or 'by hand'} {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit[:7]}{changed}"


@flow(name="rebuild", flow_run_name=run_name, task_runner=ThreadPoolTaskRunner())  # type: ignore[arg-type]
def rebuild(root: str = ".", retries: int = 1, retry_delay_s: float = 10.0) -> dict[str, str]:
    """Bring every stage of dvc.yaml up to date and publish figures and links as artifacts.

    Args:
        root: the repository's folder.
        retries: how often a failed stage is tried again before the flow fails.
        retry_delay_s: seconds before each such try.

    Returns:
        stage -> "ran" or "cached".

    Raises:
        ParamsError, DataError: params.yaml or the photographs are wrong; no stage was started.
        StageFailed: a stage failed after its retries; stages that do not depend on it have run.
    """
    folder = Path(root).resolve()
    processes = Processes(STOP_GRACE_S)
    one_stage = build_stage.with_options(
        retries=retries, retry_delay_seconds=retry_delay_s, retry_condition_fn=lambda *_: not processes.stopped
    )
    ours = (folder / "pipeline_lib" / "check.py").is_file()  # another pipeline's parameters are not ours to check
    if ours:
        params = load_params(folder / PARAMS_FILE)
        if (folder / params.ingest.root).is_dir():
            check_entries(folder / params.ingest.root)  # DVC, which hashes them, names none
        for path in remove_leftovers(params, folder / "data"):
            get_run_logger().info("Removed %s: params.yaml no longer names it.", path)
    pipeline = read_pipeline(folder)
    if pipeline.stale and ours:
        from pipeline_lib.check import check_params, check_processes  # they import torch, which a flow that has
        from pipeline_lib.check_photos import check_photos  # nothing to do need not

        check_processes(check_params(folder / PARAMS_FILE), machine)
        check_photos(params, folder)
    futures: dict[str, PrefectFuture[Any]] = {}
    try:
        for stage, upstream in pipeline.graph.items():
            waits = [futures[name] for name in upstream]
            if stage in pipeline.stale:
                futures[stage] = one_stage.submit(folder, stage, processes, wait_for=waits, return_state=False)
            else:
                futures[stage] = unchanged_stage.submit(stage, wait_for=waits, return_state=False)
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


if __name__ == "__main__":
    rebuild()
