"""A process of its own that sends the spool, so that no stage imports MLflow, waits for it, or shares its memory."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pipeline_lib
from pipeline_lib.tracking.spool import spool_folder

log = logging.getLogger("face_verifier")

LIVE_AFTER_S = 30.0  # a training begins to be sent; a shorter one need not compete with MLflow's import for the cores
LOG_FILE, AWAY_FILE = "sender.log", "away"  # what senders had to say; why the last one could not send


def send_in_background(uri: str, patient: bool = False) -> subprocess.Popen[bytes] | None:
    """Start a sender that outlives this process; one that finds another at work leaves the work to it.

    Args:
        uri: of the store; the spool is that store's.
        patient: begin only when no stage runs any more, or after LIVE_AFTER_S; and go on while a live run does.

    Returns:
        The process, or None where none could be started: what is in the spool goes out another time.
    """
    spool = spool_folder(uri)
    packages = os.pathsep.join([str(Path(next(iter(pipeline_lib.__path__))).parent), *_python_path()])
    command = [sys.executable, "-P", "-m", "pipeline_lib.tracking.send", "--background"]
    command += ["--after-s", str(LIVE_AFTER_S if patient else 0.0)]
    try:
        with (spool / LOG_FILE).open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=spool.parent,  # which stays: DVC's queue deletes the copy of the repository in which it runs
                env={**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": packages},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is the stage's to answer
            )
    except OSError:
        return None


def warn_if_away(uri: str) -> None:
    """Log one line if the last sender could not reach the store."""
    try:
        reason = (spool_folder(uri) / AWAY_FILE).read_text()
    except OSError:  # it could; or nothing can be read here, which the run's journal has said
        return
    log.warning(
        "Runs wait in %s for `python -m pipeline_lib.tracking.send`: %s", spool_folder(uri), " ".join(reason.split())
    )


def _python_path() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
