"""One record on its way to MLflow. All of it may be sent again: what is there already stays one run, one point, one model."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from pipeline_lib.tracking.network_package import log_spooled_networks
from pipeline_lib.tracking.origin import DIGEST_FROM
from pipeline_lib.tracking.rebuild_run import find_experiment, find_rebuild, log_params, mark_killed
from pipeline_lib.tracking.spool import Record

log = logging.getLogger("face_verifier")

MAX_METRICS_A_BATCH, MAX_TAGS_A_BATCH = 1000, 100  # MLflow's limits
RECORD_TAG = "record"  # by it a run is found that a killed sender had begun

Line = tuple[str, Mapping[str, Any]]


class Replay:
    """A record's run in MLflow, and how far it was sent."""

    def __init__(self, client: Any, uri: str, record: Record) -> None:
        self.client, self.uri, self.record = client, uri, record
        self.run_id = self.experiment_id = self.parent = self.rebuild = ""
        self._offset = 0

    def has_news(self) -> bool:
        """Whether something was written since the last time."""
        try:
            return self.record.path.stat().st_size > self._offset
        except FileNotFoundError:  # another process has sent it to its end
            return False

    def catch_up(self, is_running: bool) -> None:
        """Send what was written since the last time.

        Args:
            is_running: the stage may write more; else a record without an end is that of a killed process.

        Raises:
            MlflowException, OSError: the store does not take it; FileNotFoundError also if another process has sent it.
            DataError: the record is broken.
        """
        lines, offset = self.record.read(self._offset)
        if not self.run_id:
            self._open(self.record.start())
        has_end = False
        points: list[Line] = []
        for kind, value in lines:
            if kind == "metrics":
                points.append((kind, value))
                continue
            self._send_metrics(points)  # before what follows: a model takes over the figures of its step
            points = []
            has_end = has_end or kind == "end"
            self._send(kind, value)
        self._send_metrics(points)
        self._offset = offset
        if not has_end and not is_running:
            last_sign_ms = int(self.record.path.stat().st_mtime * 1000)
            self.client.set_terminated(self.run_id, "KILLED", last_sign_ms)

    def _open(self, start: Mapping[str, Any]) -> None:
        experiment_id = find_experiment(self.client, self.uri, start["experiment"])
        parent = find_rebuild(self.client, experiment_id, start)
        found = self.client.search_runs([experiment_id], f"tags.{RECORD_TAG} = '{self.record.name}'", max_results=1)
        if found:
            run_id = found[0].info.run_id
        else:
            mark_killed(self.client, experiment_id, parent, start["stage"])
            tags = {**start["tags"], RECORD_TAG: self.record.name, "mlflow.parentRunId": parent}
            run_id = self.client.create_run(experiment_id, start["begun_ms"], tags, start["stage"]).info.run_id
        self.run_id, self.experiment_id, self.parent = str(run_id), experiment_id, parent
        self.rebuild = start["tags"]["rebuild"]
        log_params(self.client, self.run_id, start["params"])
        self._send_datasets(start)

    def _send_datasets(self, start: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        context = InputTag("mlflow.data.context", start["stage"].partition("@")[0])
        datasets = [
            DatasetInput(
                Dataset(item["name"], item["digest"], "local", json.dumps({"uri": item["path"]})),
                [context, InputTag(DIGEST_FROM, item[DIGEST_FROM])],
            )
            for item in start["datasets"]
        ]
        if datasets:
            self.client.log_inputs(self.run_id, datasets)

    def _send(self, kind: str, value: Mapping[str, Any]) -> None:
        if kind == "tags":
            self._send_tags(value)
        elif kind == "headline":
            self._send_headline(value)
        elif kind == "artifact":
            file = self.record.files / value["file"]
            if file.exists():
                self.client.log_artifact(self.run_id, str(file), value["folder"])
            else:
                log.warning("An artifact of run %s is gone from the spool: %s", self.run_id, file)
        elif kind == "networks":
            log_spooled_networks(self, self.experiment_id, self.record.files, value)
        elif kind == "end":
            self.client.set_terminated(self.run_id, value["status"], value["at_ms"])

    def _send_headline(self, value: Mapping[str, Any]) -> None:
        """To the rebuild's run, which a killed sender may have sent already: MLflow keeps one point of a time and step."""
        from mlflow.entities import Metric, RunTag

        figures = [Metric(key, number, value["at_ms"], 0) for key, number in value["values"].items()]
        words = [RunTag(key, text) for key, text in value["tags"].items()]
        self.client.log_batch(self.parent, metrics=figures, tags=words)

    def _send_metrics(self, points: list[Line]) -> None:
        from mlflow.entities import Metric

        entries = [
            Metric(key, number, value["at_ms"], value["step"])
            for _, value in points
            for key, number in value["values"].items()
        ]
        for first in range(0, len(entries), MAX_METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=entries[first : first + MAX_METRICS_A_BATCH])

    def _send_tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in tags.items()]
        for first in range(0, len(entries), MAX_TAGS_A_BATCH):
            self.client.log_batch(self.run_id, tags=entries[first : first + MAX_TAGS_A_BATCH])
