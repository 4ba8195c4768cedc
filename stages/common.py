"""What every stage's command shares: logging, and errors a user can read."""

import logging
import sys
from collections.abc import Callable

import typer

from pipeline_lib.core.errors import Interrupted, PipelineError
from pipeline_lib.core.memory import keep_freed_memory


def run_stage(main: Callable[..., None]) -> None:
    """Run a stage's main function as a command; errors a user can mend are printed without a traceback and exit with 1.

    They are ours (PipelineError) and the operating system's: a full disk, a folder that may not be written. A stage that
    was asked to stop and saved its state exits with 0 and without outputs, whose absence DVC reports.
    """
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(main)
    try:
        command()
    except Interrupted as stopped:
        logging.getLogger("face_verifier").info("%s", stopped)
        sys.exit(0)
    except (PipelineError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
