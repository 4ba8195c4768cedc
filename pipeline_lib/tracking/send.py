"""`python -m pipeline_lib.tracking.send`: send what waits in the spool to MLflow, now, or beside the stages that run."""

import argparse
import logging
import sys
import time

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.tracking.background import AWAY_FILE
from pipeline_lib.tracking.moved import follow_folder
from pipeline_lib.tracking.sender import Sender  # now: a copy of the repository in which DVC runs us may go
from pipeline_lib.tracking.spool import records, running, spool_folder
from pipeline_lib.tracking.store import RegistryError, file_lock, tracking_uri

log = logging.getLogger("face_verifier")

LOCK_FILE = "sender.lock"
LEAVE_IT_AFTER_S = 5.0  # a sender at work looks into the spool more often than that
QUIET_S = 2.0  # between two stages of a rebuild is less
POLL_S, RETRY_S = 1.0, 30.0  # between two looks into the spool; after a store that was away


def send_all(uri: str | None = None) -> int:
    """Send what waits in the spool of a store (default: tracking_uri()); returns how many runs were sent.

    Also where nothing waits, a store that was moved learns where its artifacts are.

    Raises:
        RegistryError: the store is away; what was not sent stays in the spool.
    """
    uri = uri or tracking_uri()
    follow_folder(uri)
    return Sender(uri).send()


def send_beside_stages(uri: str, after_s: float) -> None:
    """Send the spool until it is empty and no live run goes on; return at once if another process does so.

    Args:
        uri: of the store.
        after_s: begin when this has passed, or earlier if no stage runs any more. Until then MLflow is not imported.
    """
    spool = spool_folder(uri)
    spool.mkdir(parents=True, exist_ok=True)
    with file_lock(spool / LOCK_FILE, LEAVE_IT_AFTER_S) as is_held:
        if not is_held:
            return
        _await_quiet(uri, after_s)
        sender = Sender(uri)
        while spool.exists():
            is_live = any(start["live"] for _, start in running(records(spool)))  # asked first: its end is sent below
            try:
                num_sent = sender.send()
                (spool / AWAY_FILE).unlink(missing_ok=True)
            except RegistryError as error:
                log.warning("%s", error)
                num_sent = 0
                (spool / AWAY_FILE).write_text(str(error))
            if not is_live and not num_sent:  # a last look was short: who waits for the lock finds it free
                return
            time.sleep(RETRY_S if (spool / AWAY_FILE).exists() else POLL_S)


def _await_quiet(uri: str, longest_s: float) -> None:
    until = time.monotonic() + longest_s
    busy = time.monotonic()
    while (now := time.monotonic()) < until:
        if any(running(records(spool_folder(uri)))):
            busy = now
        elif now - busy >= QUIET_S:
            return
        time.sleep(0.25)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m pipeline_lib.tracking.send", description=__doc__)
    parser.add_argument("--background", action="store_true", help="of a stage: beside those that run, and quietly")
    parser.add_argument("--after-s", type=float, default=0.0, help="with --background: when to begin at the latest")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        if options.background:
            send_beside_stages(tracking_uri(), options.after_s)
        else:
            uri = tracking_uri()
            print(f"{send_all(uri)} runs sent, {len(records(spool_folder(uri)))} left in {spool_folder(uri)}")
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
