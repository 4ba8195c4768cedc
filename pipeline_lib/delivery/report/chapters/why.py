"""Why two faces match: every network's explanations beside each other, how faithful they are, and pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report import figures, why_tables
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.delivery.report.html import Picture, drawing, photo
from pipeline_lib.delivery.report.inputs import read_bands, read_pictures
from pipeline_lib.delivery.report.pair_words import Decisions, read_decisions
from pipeline_lib.delivery.report.why_tables import Explained
from pipeline_lib.params.section import NONE
from pipeline_lib.schemas.blurring import BLURRING
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.latency import LATENCY
from pipeline_lib.schemas.sanity import SANITY
from pipeline_lib.why.explanation.shared.map_file import read_maps

ORDER = 50
TITLE = "Why two faces match"
NEEDS = ("explain",)
FLOOR = "random"  # the kind that every other must beat; its maps are noise, so none is shown
SHOWN_CURVES = ("insertion", "deletion")  # RRFNet's; the table has the areas of all


@dataclass(frozen=True)
class Folder:
    """What one entry of `explanations` left: what it measured, curves by protocol and metric, pictures named NN_kind, gallery."""

    measured: Explained
    curves: Mapping[tuple[str, ...], Band]
    pictures: Mapping[str, bytes]
    gallery: Mapping[str, bytes]


@dataclass(frozen=True)
class Why:
    """Each entry's folder, by its name, and what was decided of the pairs."""

    folders: Mapping[str, Folder]
    decisions: Decisions


def read(data: Path) -> Why | None:
    """None where nothing was explained.

    Raises:
        DataError: a file is missing or damaged.
    """
    folders = {folder.name: read_explained(folder) for folder in subfolders(data / "explain")}
    return Why(folders, read_decisions(data)) if folders else None


def read_explained(folder: Path) -> Folder:
    """Read one entry's folder; see read."""
    measured = Explained(
        metrics=read_json(folder / "metrics.json"),
        faithfulness=read_table(folder / "faithfulness.parquet", FAITHFULNESS),
        blurring=read_table(folder / "blurring.parquet", BLURRING),
        latency=read_table(folder / "latency.parquet", LATENCY),
        sanity=read_table(folder / "sanity.parquet", SANITY),
        maps=read_maps(folder / "maps.arrow"),
    )
    curves = read_bands(folder / "curves.csv", ("protocol", "metric"), "share", "mean_score")
    return Folder(measured, curves, read_pictures(folder / "pictures"), read_pictures(folder / "gallery"))


def show(found: Why, about: About) -> dict[str, object]:
    """For each network that is explained: figures and tables of all its entries, and pictures pair by pair."""
    sections = about.params.explanations
    networks: dict[str, dict[str, Folder]] = {}
    for name, item in of_params(found.folders, sections).items():
        networks.setdefault(sections[name].network, {})[name] = item
    teachers = {name: entry.teacher for name, entry in about.params.networks.items() if entry.teacher != NONE}
    kinds = {name: entry.kind for name, entry in sections.items()}
    return {
        "networks": {
            network: {
                **_measured(entries, kinds),
                "teacher": teachers.get(network),
                "galleries": _galleries(entries, kinds),
                "pictures": [
                    (found.decisions.of(pair, network, about.params.scores), pictures)
                    for pair, pictures in _pictures(entries, kinds, about.params.report.num_example_pairs)
                ],
            }
            for network, entries in networks.items()
        }
    }


def _measured(folders: Mapping[str, Folder], kinds: Mapping[str, str]) -> dict[str, object]:
    entries = {name: folder.measured for name, folder in folders.items()}
    kind_of = {name: kinds[name] for name in entries}
    floors = [name for name, kind in kind_of.items() if kind == FLOOR]
    curves: dict[str, dict[str, dict[str, Band]]] = {}
    for name, folder in folders.items():
        for (protocol, metric), curve in folder.curves.items():
            if metric in SHOWN_CURVES:
                curves.setdefault(protocol, {}).setdefault(metric, {})[name] = curve
    bands = {protocol: why_tables.error_bands(entries, protocol) for protocol in curves}
    return {
        "curves": [(name, drawing(figures.faithfulness_figure(panels, floors))) for name, panels in curves.items()],
        "areas": why_tables.areas_table(entries),
        "differences": why_tables.differences_table(entries),
        "errors": why_tables.errors_table(entries),
        "bands": [(name, drawing(figures.errors_figure(panels, floors))) for name, panels in bands.items() if panels],
        "cost": why_tables.cost_table(entries, kind_of),
        "agreement": why_tables.agreement_table(entries),
        "additivity": _additivity(entries),
    }


def _additivity(entries: Mapping[str, Explained]) -> float | None:
    """The largest error of the entries whose contributions sum to the score; None where none's do."""
    errors = [item.metrics[key] for item in entries.values() if (key := "additivity_max_error") in item.metrics]
    return float(np.max(errors)) if errors else None


def _galleries(entries: Mapping[str, Folder], kinds: Mapping[str, str]) -> list[tuple[str, Picture]]:
    """(entry, its best, median and worst pair)."""
    shown = ((name, item) for name, item in entries.items() if kinds[name] != FLOOR)
    return [(name, photo(picture)) for name, item in shown for picture in item.gallery.values()]


def _pictures(
    entries: Mapping[str, Folder], kinds: Mapping[str, str], num_pairs: int
) -> list[tuple[dict[str, Any], list[tuple[str, Picture]]]]:
    """(the pair's row of maps.arrow, [(entry, picture)]) of the first pairs: every explanation explains the same ones."""
    shown = {name: item for name, item in entries.items() if kinds[name] != FLOOR}
    columns = ["picture", "protocol", "image_a", "image_b", "genuine", "score"]
    rows: dict[str, dict[str, Any]] = {}
    for item in shown.values():
        drawn = item.measured.maps.select(columns).filter(pc.is_valid(item.measured.maps["picture"]))
        rows = {row["picture"]: row for row in drawn.to_pylist()} | rows
    return [
        (rows[pair], [(name, photo(item.pictures[pair])) for name, item in shown.items() if pair in item.pictures])
        for pair in sorted(rows)[:num_pairs]
    ]
