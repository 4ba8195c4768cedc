"""Why two faces match: every network's explanations beside each other, how faithful they are, and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.figures import Curve
from pipeline_lib.delivery.report.html import data_uri, svg_uri
from pipeline_lib.delivery.report.inputs import read_curves, read_pictures
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table
from pipeline_lib.params.explain import Explanation
from pipeline_lib.params.section import NONE
from pipeline_lib.schemas.faithfulness import FAITHFULNESS

ORDER = 50
TITLE = "Why two faces match"
NEEDS = ("explain",)
FLOOR = "random"  # the kind that every other must beat; its maps are noise, so none is shown


@dataclass(frozen=True)
class Explained:
    """What one entry of `explanations` left: figures, curves by metric, areas a pair, and pictures named NN_kind."""

    metrics: Mapping[str, Any]
    curves: Mapping[str, Curve]
    faithfulness: pa.Table
    pictures: Mapping[str, bytes]


def read(data: Path) -> dict[str, Explained] | None:
    """By entry; None where there is none.

    Raises:
        DataError: a file is missing or damaged.
    """
    return {folder.name: read_explained(folder) for folder in subfolders(data / "explain")} or None


def read_explained(folder: Path) -> Explained:
    """Read one entry's folder; see read."""
    curves = read_curves(folder / "curves.csv", ("metric",), "share", "mean_score")
    return Explained(
        metrics=read_json(folder / "metrics.json"),
        curves={metric: curve for (metric,), curve in curves.items()},
        faithfulness=read_table(folder / "faithfulness.parquet", FAITHFULNESS),
        pictures=read_pictures(folder / "pictures"),
    )


def show(found: Mapping[str, Explained], about: About) -> dict[str, object]:
    """For each network that is explained: a figure and a table of all its entries, and pictures pair by pair."""
    sections = about.params.explanations
    networks: dict[str, dict[str, Explained]] = {}
    for name, item in of_params(found, sections).items():
        networks.setdefault(sections[name].network, {})[name] = item
    teachers = {name: entry.teacher for name, entry in about.params.networks.items() if entry.teacher != NONE}
    shown = {}
    for network, entries in networks.items():
        kinds = {name: sections[name] for name in entries}
        shown[network] = {
            "curves": svg_uri(_curves(entries, kinds)),
            "areas": _areas(entries, kinds),
            "additivity": _additivity(entries),
            "teacher": teachers.get(network),
            "pictures": _pictures(entries, kinds, about.params.report.num_example_pairs),
        }
    return {"networks": shown}


def _curves(entries: Mapping[str, Explained], sections: Mapping[str, Explanation]) -> bytes:
    by_metric: dict[str, dict[str, Curve]] = {}
    for name, item in entries.items():
        for metric, curve in item.curves.items():
            by_metric.setdefault(metric, {})[name] = curve
    return figures.faithfulness_figure(by_metric, [name for name in entries if sections[name].kind == FLOOR])


def _areas(entries: Mapping[str, Explained], sections: Mapping[str, Explanation]) -> Table:
    rows = []
    for name, item in entries.items():
        sums = [item.faithfulness[column].to_numpy() for column in ("insertion_auc", "deletion_auc")]
        cells = [f"{values.mean():.4f} ± {values.std():.4f}" if len(values) else NO_FIGURE for values in sums]
        rows.append((name, sections[name].kind, *cells, str(item.faithfulness.num_rows)))
    columns = ("explanation", "method", "insertion area (higher is better)", "deletion area (lower is better)", "pairs")
    return Table(columns, tuple(rows), (False,) * len(rows))


def _additivity(entries: Mapping[str, Explained]) -> float | None:
    """The largest error of the entries whose contributions sum to the score; None where none's do."""
    errors = [item.metrics[key] for item in entries.values() if (key := "additivity_max_error") in item.metrics]
    return float(np.max(errors)) if errors else None


def _pictures(
    entries: Mapping[str, Explained], sections: Mapping[str, Explanation], num_pairs: int
) -> list[tuple[str, list[tuple[str, str]]]]:
    """("genuine" or "impostor", [(entry, picture)]) of the first pairs: every explanation explains the same ones."""
    shown = {name: item for name, item in entries.items() if sections[name].kind != FLOOR}
    pairs = dict.fromkeys(pair for item in shown.values() for pair in item.pictures)
    return [
        (
            pair.partition("_")[2],
            [(name, data_uri(item.pictures[pair])) for name, item in shown.items() if pair in item.pictures],
        )
        for pair in sorted(pairs)[:num_pairs]
    ]
