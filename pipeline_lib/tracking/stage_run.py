"""One run a stage, recorded in the spool: it costs the stage milliseconds, and whatever becomes of MLflow, no result."""

import logging
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_lib.core.errors import Interrupted
from pipeline_lib.params.load import PARAMS_FILE
from pipeline_lib.tracking.background import send_in_background, warn_if_away
from pipeline_lib.tracking.origin import LOCK_FILE, flatten, origin, shorten
from pipeline_lib.tracking.spool import Journal, Record, spool_folder
from pipeline_lib.tracking.store import RegistryError, tracking_uri
from pipeline_lib.tracking.system_metrics import system_metrics

if TYPE_CHECKING:
    from pipeline_lib.tracking.sender import Sender

__all__ = ["LOCK_FILE", "PARAMS_FILE", "StageRun", "flatten", "stage_run"]

log = logging.getLogger("face_verifier")


class StageRun:
    """A stage's open run. What it logs are lines of a local file; only `client` and `run_id` need MLflow."""

    def __init__(self, uri: str, start: Mapping[str, Any]) -> None:
        self.uri = uri
        self.tags: dict[str, str] = start["tags"]
        self.journal = Journal(spool_folder(uri), start)
        self.record = Record(self.journal.path)
        self._sender: Sender | None = None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log flat figures, all at one time."""
        values = {key: float(value) for key, value in metrics.items()}
        self.journal.write("metrics", {"values": values, "step": step or 0, "at_ms": _now_ms()})

    def log_headline(self, figures: Mapping[str, float], words: Mapping[str, str] | None = None) -> None:
        """Log figures, as `headline/<name>`, and tags to the run of the rebuild: by them rebuilds are compared."""
        values = {f"headline/{key}": float(value) for key, value in figures.items()}
        tags = {f"headline.{key}": shorten(value) for key, value in (words or {}).items()}
        self.journal.write("headline", {"values": values, "tags": tags, "at_ms": _now_ms()})

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file to the run's artifacts, below `folder` if one is given."""
        inside = f"artifacts/{folder}/{path.name}" if folder else f"artifacts/{path.name}"
        if self.journal.copy(path, inside):
            self.journal.write("artifact", {"file": inside, "folder": folder})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; longer values than 500 characters are cut, and say so."""
        self.journal.write("tags", {key: shorten(value) for key, value in tags.items()})

    @property
    def client(self) -> Any:
        """An MlflowClient, after the whole spool was sent, and this run as far as it goes.

        Raises:
            RegistryError: the store cannot be reached, which is found out within seconds, or does not take the runs.
        """
        return self._sent().client

    @property
    def run_id(self) -> str:
        """This run's id in MLflow; sends and raises as client."""
        return self._sent().run_id_of(self.record)

    def end(self, status: str) -> None:
        """Write the last line; a run that opened a client sends what is left, best effort."""
        self.journal.write("end", {"status": status, "at_ms": _now_ms()})
        self.journal.close()
        if self._sender is not None:
            try:
                self._sender.send()
            except RegistryError as error:
                log.warning("The run stays in %s until the next one is sent. %s", self.record.path.parent, error)

    def _sent(self) -> "Sender":
        from pipeline_lib.tracking.sender import Sender

        if not self.journal.is_open:
            raise RegistryError("This run is not recorded, so MLflow cannot have it.", where=self.record.path.parent)
        if self._sender is None:
            sender = Sender(self.uri, self.record)
            sender.send()
            self._sender = sender
        else:
            self._sender.send_own()
        return self._sender


@contextmanager
def stage_run(
    stage: str, params: Mapping[str, object], inputs: Mapping[str, Path], *, live: bool = False
) -> Iterator[StageRun]:
    """Record a stage as a child of this rebuild's run; call it on rank 0 only.

    Args:
        stage: the stage's name as `dvc stage list` gives it, train@iresnet.
        params: the stage's sections of params.yaml; nested mappings are flattened to `align.detector`.
        inputs: name -> file or folder read; their DVC digests become the run's MLflow datasets.
        live: for trainings: a process of low priority sends the run while it goes on. Others are sent with the next run
            that is: a training's, register's, report's, or one that fails.

    A stage that raises ends as FAILED (the error becomes tag `error`), one stopped by Ctrl-C or Interrupted as KILLED.
    One that is killed leaves a record without an end: who sends it next marks it KILLED. Wall time and peak memory of the
    process become metrics below stage/, those of the machine below system/ while it runs. All of it took 25 ms a stage on one
    core of 2.1 GHz, without importing MLflow.

    Raises:
        ParamsError: machine.yaml, which names the store and the experiment, is wrong.
    """
    uri = tracking_uri()
    run = StageRun(uri, origin(stage, params, inputs, live, spool_folder(uri)))
    sender = send_in_background(uri, patient=True) if live else None
    started = time.monotonic()
    status = "FINISHED"
    try:
        with system_metrics(run.log_metrics):
            yield run
    except (KeyboardInterrupt, Interrupted):
        status = "KILLED"
        raise
    except BaseException as error:
        status = "FAILED"
        run.set_tags({"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        run.log_metrics({"stage/wall_time_s": time.monotonic() - started, **_peak_memory()})
        run.end(status)
        if live:
            warn_if_away(uri)
        if (status != "FINISHED" or live) and (sender is None or sender.poll() is not None):
            send_in_background(uri)


def _peak_memory() -> dict[str, float]:
    """Peak resident memory of this process and of its largest finished child, in bytes (Linux counts KiB)."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"stage/peak_memory_bytes": float(own), "stage/largest_child_peak_memory_bytes": float(child)}


def _now_ms() -> int:
    return int(time.time() * 1000)
