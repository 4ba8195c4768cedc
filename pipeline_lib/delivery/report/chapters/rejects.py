"""Rejects: the photographs that did not come out of ingest and align, and why."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS

ORDER = 70
TITLE = "Rejects"
NEEDS = ("ingest", "align")


@dataclass(frozen=True)
class RejectCount:
    """What one stage rejected: (reason, photographs), the most frequent first, out of `num_inputs`."""

    stage: str
    num_inputs: int
    reasons: tuple[tuple[str, int], ...]


def read(data: Path) -> tuple[RejectCount, ...]:
    """Of ingest, then of align.

    Raises:
        DataError: a table is missing or breaks its contract.
    """
    ingested, aligned = (read_table(data / stage / "rejects.parquet", REJECTS) for stage in ("ingest", "align"))
    num_photographs = read_table(data / "ingest" / "manifest.parquet", MANIFEST).num_rows
    return (
        RejectCount("ingest", num_photographs + ingested.num_rows, _reasons(ingested)),
        RejectCount("align", num_photographs, _reasons(aligned)),
    )


def show(found: tuple[RejectCount, ...], about: About) -> dict[str, object]:
    """A row a stage and reason, and one of all of a stage."""
    rows, groups = [], []
    for stage in found:
        total = sum(count for _, count in stage.reasons)
        lines = [*stage.reasons, (f"all, of {stage.num_inputs}", total)]
        for number, (reason, count) in enumerate(lines):
            share = f"{100 * count / stage.num_inputs:.2f} %" if stage.num_inputs else NO_FIGURE
            rows.append((stage.stage, reason, str(count), share))
            groups.append(number == 0)
    return {"rejects": Table(("stage", "reason", "photographs", "share"), tuple(rows), tuple(groups))}


def _reasons(rejects: pa.Table) -> tuple[tuple[str, int], ...]:
    counts = rejects.group_by("reason").aggregate([("reason", "count")])
    ordered = counts.sort_by([("reason_count", "descending"), ("reason", "ascending")])
    return tuple(zip(ordered["reason"].to_pylist(), ordered["reason_count"].to_pylist(), strict=True))
