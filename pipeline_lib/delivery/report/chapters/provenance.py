"""What was run on what: the photographs, code, hardware and versions, each stage's latest run, and params.yaml."""

from pathlib import Path

from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.tables import Table
from pipeline_lib.schemas.manifest import MANIFEST, SPLITS

ORDER = 90
TITLE = "What was run on what"
NEEDS = ("ingest",)


def read(data: Path) -> Table:
    """Identities and photographs by split.

    Raises:
        DataError: the manifest is missing or breaks its contract.
    """
    manifest = read_table(data / "ingest" / "manifest.parquet", MANIFEST)
    counts = manifest.group_by("split").aggregate([("identity", "count_distinct"), ("identity", "count")])
    by_split = {row["split"]: (row["identity_count_distinct"], row["identity_count"]) for row in counts.to_pylist()}
    rows = tuple((split, *map(str, by_split[split])) for split in SPLITS if split in by_split)
    return Table(("split", "identities", "photographs"), rows, (False,) * len(rows), num_words=1)


def show(found: Table, about: About) -> dict[str, object]:
    """The counts, and what tracking and params say."""
    provenance = about.provenance
    columns = ("stage", "state", "begun", "rebuild", "MLflow run", "wall time", "peak memory")
    keys = ("stage", "status", "begun", "rebuild", "run_id", "wall_time", "peak_memory")
    runs = tuple(tuple(run[key] for key in keys) for run in provenance.runs)
    return {
        "photographs": found,
        "groups": provenance.groups,
        "runs": Table(columns, runs, (False,) * len(runs), num_words=5) if runs else None,
        "params_text": about.params_text,
    }
