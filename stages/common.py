"""What every stage's command shares: logging, ranks, and errors a user can read."""

import logging
import sys
from collections.abc import Callable

import typer

from pipeline_lib.core.errors import Interrupted, PipelineError
from pipeline_lib.core.launch import Ranks, is_rank, run_ranks
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.params.machine import Machine, load_machine


def run_stage(main: Callable[..., None], fits: Callable[[int], bool] | None = None) -> None:
    """Run a stage's main function as a command; errors a user can mend are printed without a traceback and exit with 1.

    They are ours (PipelineError) and the operating system's: a full disk, a folder that may not be written. A stage that
    was asked to stop and saved its state exits with 0 and without outputs, whose absence DVC reports.

    Args:
        main: the stage.
        fits: for a stage that computes in ranks (core.world.process_group): whether so many processes can share its work.
            Where machine.yaml wants more than one, the command starts itself as these and waits for them (core.launch);
            main then runs in each. None: one process.
    """
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(main)
    try:
        if fits is not None and not is_rank():
            ranks = wanted_ranks(load_machine(), fits)
            if ranks.size > 1:
                sys.exit(run_ranks(_started_module(), sys.argv[1:], ranks))
        command()
    except Interrupted as stopped:
        logging.getLogger("face_verifier").info("%s", stopped)
        sys.exit(0)
    except (PipelineError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def wanted_ranks(machine: Machine, fits: Callable[[int], bool]) -> Ranks:
    """The ranks that machine.yaml asks for; of `processes: auto`, the most that can share the work, or one."""
    nodes = machine.nodes
    num = machine.processes if machine.processes != "auto" else _most(machine, fits)
    return Ranks(num, machine.threads_per_process, nodes.count, nodes.rank, nodes.endpoint)


def _most(machine: Machine, fits: Callable[[int], bool]) -> int:
    import torch

    most = machine.num_processes(torch.cuda.device_count())
    return next((num for num in range(most, 1, -1) if fits(num * machine.nodes.count)), 1)


def _started_module() -> str:
    """The module that `python -m` runs."""
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "a stage is started with python -m"
    return spec.name
