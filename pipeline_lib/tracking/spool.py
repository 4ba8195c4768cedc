"""The spool: what stages recorded and MLflow does not have yet, a file a run.

A record is a file of JSON lines: `start` (stage, begun, process, tags, params, datasets), then metrics, tags, artifacts and
networks as they came, then `end`. Files of artifacts and networks lie in a folder of the record's name. Names sort by
the time of the start. A line is one write, so readers see whole lines, whatever becomes of the writer.
"""

import json
import logging
import os
import platform
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.store import database_file, repository

log = logging.getLogger("face_verifier")

FOLDER, REFUSED, SUFFIX = ".tracking", "refused", ".jsonl"
START_KEYS = {"stage", "live", "begun_ms", "experiment", "tags", "params", "params_text", "datasets"}  # see origin.py
START_TAGS = {"rebuild", "stage", "host", "pid", "process_started"}
# Another host's processes cannot be asked for. A living run touches its record each BEAT_S; who is silent for SILENT_S is gone.
BEAT_S, SILENT_S = 60.0, 600.0
END_BYTES = 200  # an `end` line is shorter


def spool_folder(uri: str) -> Path:
    """`.tracking` beside a sqlite database, so that who shares a store shares its spool; else in the repository."""
    database = database_file(uri)
    return (database.parent if database else repository().absolute()) / FOLDER


class Journal:
    """A record being written. Nothing here raises for the disk's sake: a run that cannot be recorded is said so once."""

    def __init__(self, spool: Path, start: Mapping[str, object]) -> None:
        self.path = spool / f"{start['begun_ms']:015d}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        self._handle: int | None = None
        # the machine's figures come from a thread of their own, which may outlast the run
        self._lock, self._ended = threading.Lock(), threading.Event()
        try:
            spool.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_suffix(".partial")
            self._handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self.write("start", start)
            partial.rename(self.path)  # readers never see a record without its start
            threading.Thread(target=self._beat, name="RecordBeat", daemon=True).start()
        except OSError as error:
            self._give_up(error)

    @property
    def is_open(self) -> bool:
        """Whether what is written still gets into the record."""
        return self._handle is not None

    def write(self, kind: str, value: Mapping[str, object]) -> None:
        """Append one line; may be called from several threads."""
        line = json.dumps({kind: value}).encode() + b"\n"
        with self._lock:
            if self._handle is None:
                return
            try:
                os.write(self._handle, line)
            except OSError as error:
                self._give_up(error)

    def copy(self, source: Path, inside: str, ignore: tuple[str, ...] = ()) -> bool:
        """Copy a file or folder to `inside` of the record's folder, for a line to name: outputs change before they are sent.

        Returns:
            Whether it is there now; if not, the log says why.

        Raises:
            FileNotFoundError: there is no `source`, which is the caller's mistake and not the disk's.
        """
        if not source.exists():
            raise FileNotFoundError(f"There is no {source} to record.")
        if not self.is_open:
            return False
        target = self.path.with_suffix("") / inside
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(*ignore), dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
        except OSError as error:
            log.warning("%s is not recorded: %s: %s", source, type(error).__name__, error)
            return False
        return True

    def close(self) -> None:
        """End writing."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._ended.set()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _beat(self) -> None:
        """A sign of life for other hosts, whether there is something to write or not."""
        while not self._ended.wait(BEAT_S):
            with self._lock:
                if self._handle is None:
                    return
                try:
                    os.utime(self._handle)
                except OSError as error:
                    self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("This run is not recorded any further: %s: %s", type(error).__name__, error)
        self._close()


@dataclass(frozen=True)
class Record:
    """A record as others read it."""

    path: Path

    @property
    def name(self) -> str:
        """Tells this run from all others, in the spool and, as tag `record`, in MLflow."""
        return self.path.stem

    @property
    def files(self) -> Path:
        """The folder of its artifacts and networks; absent if it has none."""
        return self.path.with_suffix("")

    def read(self, offset: int = 0) -> tuple[list[tuple[str, dict[str, Any]]], int]:
        """The whole lines from byte `offset` on as (kind, value), and the offset behind them.

        Raises:
            DataError: the file holds something else.
            FileNotFoundError: another process has sent it.
        """
        with self.path.open("rb") as handle:
            handle.seek(offset)
            text = handle.read()
        text = text[: text.rfind(b"\n") + 1]
        try:
            lines = [next(iter(json.loads(line).items())) for line in text.splitlines()]
        except (ValueError, AttributeError, StopIteration) as error:
            raise DataError("A record of a run is broken.", got=error, where=self.path) from error
        return lines, offset + len(text)

    def start(self) -> dict[str, Any]:
        """Its first line; raises as read, also if it lacks something."""
        with self.path.open("rb") as handle:
            line = handle.readline()
        try:
            start = dict(json.loads(line)["start"])
            missing = (START_KEYS - start.keys()) | (START_TAGS - start["tags"].keys())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError("A record of a run has no start.", got=error, where=self.path) from error
        if missing:
            raise DataError("The start of a run's record lacks something.", got=sorted(missing), where=self.path)
        return start

    def rebuild(self) -> str | None:
        """Which rebuild it belongs to; None if it is broken or was sent meanwhile."""
        try:
            return str(self.start()["tags"]["rebuild"])
        except (FileNotFoundError, DataError):
            return None

    def is_running(self) -> bool:
        """Whether its process may still write to it; raises as read."""
        process = self.start()["tags"]
        if process["host"] == platform.node():
            runs = process_started(int(process["pid"])) == process["process_started"]
        else:
            runs = time.time() - self.path.stat().st_mtime < SILENT_S
        return runs and not self.has_end()  # in this order: it may end between the two

    def has_end(self) -> bool:
        """Whether its last line is the end of the run, and not what a killed process left."""
        with self.path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - END_BYTES))
            tail = handle.read()
        return tail.endswith(b"\n") and tail.splitlines()[-1].startswith(b'{"end"')

    def remove(self) -> None:
        """Delete it, all of it being in MLflow."""
        shutil.rmtree(self.files, ignore_errors=True)  # first: without a record nobody would look for them
        self.path.unlink(missing_ok=True)

    def refuse(self) -> Path:
        """Set it aside and return where it is now: it would be refused again, and others wait behind it."""
        aside = self.path.parent / REFUSED / self.path.name
        aside.parent.mkdir(exist_ok=True)
        if self.files.exists():
            self.files.rename(aside.with_suffix(""))
        return self.path.rename(aside)


def records(spool: Path) -> list[Record]:
    """Those of the spool, in the order in which the runs began."""
    return [Record(path) for path in sorted(spool.glob(f"*{SUFFIX}"))]


def running(found: list[Record]) -> Iterator[tuple[Record, dict[str, Any]]]:
    """Those whose process lives, with their start."""
    for record in found:
        try:
            if record.is_running():
                yield record, record.start()
        except (FileNotFoundError, DataError):  # sent meanwhile; or broken, which its sender says
            continue


def process_started(pid: int) -> str:
    """When a process began, which tells it from a later one of the same id; "gone" if there is none."""
    try:
        process = psutil.Process(pid)
        return "gone" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return "gone"
