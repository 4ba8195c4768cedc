"""What a rebuild leaves in Prefect's UI: what ran, the figures, and the way to report and runs."""

import os
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.dvc_graph import read_metrics
from pipeline_lib.core.errors import PipelineError
from pipeline_lib.params.load import PARAMS_FILE
from pipeline_lib.params.machine import load_machine
from pipeline_lib.tracking.lineage import git_state, rebuild_id
from pipeline_lib.tracking.store import is_store, open_client, registry_errors, shown_uri, tracking_uri

# `make ui` sets them to the pages that it serves; a flow without it names the file and the store.
REPORT_URL, MLFLOW_URL = "FACE_VERIFIER_REPORT_URL", "FACE_VERIFIER_MLFLOW_URL"


def publish(folder: Path, outcomes: dict[str, str]) -> None:
    """Make the artifacts of a rebuild: `stages`; if anything ran, `metrics`, a row as in `dvc metrics show`; and `rebuild`,
    a text with links to the report and to the rebuild's run in MLflow."""
    ran = [stage for stage, outcome in outcomes.items() if outcome == "ran"]
    rows = [{"stage": stage, "outcome": outcome} for stage, outcome in outcomes.items()]
    create_table_artifact(key="stages", table=rows, description="What ran")
    if not ran:
        return
    metrics = [{"file": file, **flatten(content)} for file, content in read_metrics(folder).items()]
    create_table_artifact(key="metrics", table=metrics, description="`dvc metrics show`")
    lines = [f"**{len(ran)} of {len(outcomes)} stages ran.**", _report(folder), _runs(folder)]
    create_markdown_artifact(key="rebuild", markdown="\n\n".join(line for line in lines if line))


def flatten(nested: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a / b": 1}."""
    if not isinstance(nested, dict):
        return {prefix: nested}
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= flatten(value, f"{prefix} / {key}" if prefix else str(key))
    return flat


def _report(folder: Path) -> str:
    """A link; browsers refuse one from a server's page to a file, so without `make ui` it is the path."""
    page = folder / "data" / "report" / "index.html"
    if not page.is_file():
        return ""
    url = os.environ.get(REPORT_URL)
    return f"[The report]({url}) of what the rebuild measured and showed" if url else f"The report: `{page}`"


def _runs(folder: Path) -> str:
    """A link to the run of this rebuild in MLflow; the store where no page of it is known; nothing where it has no such run."""
    uri = tracking_uri()
    if not (folder / PARAMS_FILE).is_file() or not is_store(uri):
        return ""
    rebuild = rebuild_id(git_state(folder)[0], (folder / PARAMS_FILE).read_bytes())
    try:
        client = open_client(uri)
        with registry_errors("MLflow does not tell the run of the rebuild.", uri):
            experiment = client.get_experiment_by_name(load_machine().tracking.experiment)
            wanted = f"tags.rebuild = '{rebuild}' and tags.kind = 'rebuild'"
            found = client.search_runs([experiment.experiment_id], wanted, max_results=1) if experiment else []
    except PipelineError as error:  # the stages are done; a store that is away must not fail them
        get_run_logger().warning("The rebuild is not linked to MLflow. %s", error)
        return ""
    if not found:
        return ""
    page, info = os.environ.get(MLFLOW_URL) or (uri if uri.startswith("http") else None), found[0].info
    if page is None:
        return f"Its run in MLflow: `{info.run_id}` in `{shown_uri(uri)}`"
    link = f"{shown_uri(page)}/#/experiments/{info.experiment_id}/runs/{info.run_id}"
    return f"[Its run in MLflow]({link}), with one of each stage below it"
