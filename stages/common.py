"""What every stage's command shares: logging, and errors a user can read."""

import logging
import sys
from collections.abc import Callable

import typer

from pipeline_lib.core.errors import PipelineError


def run_stage(main: Callable[..., None]) -> None:
    """Run a stage's main function as a command; a PipelineError is printed without a traceback and exits with 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        typer.run(main)
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")
