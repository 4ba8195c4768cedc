"""What waits in a store's spool, sent to the store in the order in which the runs began."""

import logging
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.reach import check_reach
from pipeline_lib.tracking.rebuild_run import close_rebuild
from pipeline_lib.tracking.replay import Replay
from pipeline_lib.tracking.spool import Record, records, running, spool_folder
from pipeline_lib.tracking.store import import_mlflow, open_client, registry_errors, store_lock

log = logging.getLogger("face_verifier")

REFUSED_STATUSES = (400, 409, 422)  # MLflow's answer to a record that it will never take; errors of types are another
GONE_STATUS = 404  # its answer for a run that `mlflow gc` removed, or of a server that is no MLflow


class Sender:
    """A client of one store, and how far each record of its spool was sent.

    A record is deleted when all of it is in MLflow. A sender may be killed anywhere, and several may work at once: they
    take turns, record by record, and what one had begun the next goes on with.

    Args:
        uri: of the store.
        own: the record of the run of this process, sent although it goes on.
    """

    def __init__(self, uri: str, own: Record | None = None) -> None:
        self.uri, self.spool = uri, spool_folder(uri)
        self.client: Any = None
        self._own = own
        self._replays: dict[Path, Replay] = {}
        self._unclosed: dict[str, Replay] = {}  # by rebuild
        self._refused: set[Path] = set()  # live runs with something that MLflow does not take; set aside at their end

    def send(self) -> int:
        """Send all that ended or was killed, and of live runs and the own one what there is. Returns how many were sent.

        Raises:
            RegistryError: the store is away or does not take what it took before; the rest stays in the spool.
        """
        waiting = records(self.spool)
        alive = {record.path: start for record, start in running(waiting)}
        ready = [record for record in waiting if record.path not in alive or self._has_news(record, alive[record.path])]
        if ready and self.client is None:
            self.client = open_client(self.uri)
        elif ready:
            check_reach(self.uri)  # MLflow would wait longer for a server that went away
        going_on = {start["tags"]["rebuild"] for start in alive.values()}
        num_sent = 0
        for record, following in zip_longest(ready, ready[1:]):
            more = following is not None and following.rebuild() == record.rebuild()
            num_sent += self._send_one(record, record.path in alive, going_on, more)
        for replay in list(self._unclosed.values()):  # the record behind theirs was sent by another process
            with store_lock(self.uri), registry_errors("MLflow did not take the end of a rebuild.", self.uri):
                self._close(replay, going_on)
        return num_sent

    def send_own(self) -> None:
        """Send what the own run has recorded since; raises as send."""
        assert self._own is not None
        with store_lock(self.uri), registry_errors("MLflow did not take this run.", self.uri):
            self._caught_up(self._own, is_running=True)

    def run_id_of(self, record: Record) -> str:
        """The MLflow run of a record that this sender has begun to send."""
        return self._replays[record.path].run_id

    def _has_news(self, record: Record, start: dict[str, Any]) -> bool:
        """Whether something of a run that goes on can be sent."""
        if record != self._own and (not start["live"] or record.path in self._refused):
            return False
        replay = self._replays.get(record.path)
        return replay is None or replay.has_news()

    def _send_one(self, record: Record, is_running: bool, going_on: set[str], more: bool) -> bool:
        """Returns whether it was sent to its end; `more` records of its rebuild follow, so that need not be closed yet."""
        mlflow = import_mlflow()
        with store_lock(self.uri), registry_errors("MLflow did not take a run; it stays in the spool.", self.uri):
            if not record.path.exists():  # another sender was faster
                self._replays.pop(record.path, None)
                return False
            try:
                replay = self._caught_up(record, is_running)
            except (DataError, KeyError, TypeError, AttributeError, mlflow.MlflowException) as error:
                if isinstance(error, mlflow.MlflowException) and error.get_http_status_code() not in REFUSED_STATUSES:
                    raise
                self._refuse(record, is_running, error, going_on)
                return False
            self._unclosed[replay.rebuild] = replay
            if not more:
                self._close(replay, going_on)
            if not is_running:
                record.remove()
                del self._replays[record.path]
            return not is_running

    def _caught_up(self, record: Record, is_running: bool) -> Replay:
        """The record's replay, with all that is new sent.

        A run, experiment or rebuild may be deleted while its stage goes on: what takes no more is begun anew.
        """
        mlflow = import_mlflow()
        replay = self._replays.get(record.path)
        if replay is not None and replay.run_id:
            try:
                replay.catch_up(is_running)
            except mlflow.MlflowException as error:
                if error.get_http_status_code() not in (*REFUSED_STATUSES, GONE_STATUS):
                    raise
                log.warning("MLflow run %s takes no more and is sent anew: %s", replay.run_id, error)
            else:
                return replay
        replay = self._replays[record.path] = Replay(self.client, self.uri, record)
        replay.catch_up(is_running)
        return replay

    def _close(self, replay: Replay, going_on: set[str]) -> None:
        close_rebuild(self.client, replay.experiment_id, replay.parent, replay.rebuild in going_on)
        self._unclosed.pop(replay.rebuild, None)

    def _refuse(self, record: Record, is_running: bool, error: Exception, going_on: set[str]) -> None:
        replay = self._replays[record.path]
        if record == self._own and is_running:
            raise error
        if is_running:
            self._refused.add(record.path)
        else:
            if replay.run_id:
                self.client.set_terminated(replay.run_id, "FAILED")  # what there is of it; the log says why
                self._close(replay, going_on)
            del self._replays[record.path]
            log.warning("MLflow does not take a run; its record is kept as %s. %s", record.refuse(), error)
