"""Patched faces: do explanations find what was put into a face? xSSAB's benchmark, its Tables 1 and 2 and its Fig. 3, 5 and 7."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.bootstrap import PERCENTILES
from pipeline_lib.core.dpr import GENUINE, NUM_STEPS, area, ends, resampled_curves
from pipeline_lib.core.files import read_json
from pipeline_lib.core.roc import Doubles
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.delivery.report.html import Picture, drawing, photo
from pipeline_lib.delivery.report.inputs import read_pictures
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table
from pipeline_lib.params.explain import Explanation
from pipeline_lib.schemas.replacement import REPLACEMENT

ORDER = 55
TITLE = "Patched faces"
NEEDS = ("explain",)
FILE = "replacement.parquet"
FLOOR = "random"  # the kind that every other must beat
PATCHES, STEPS = "_patches", "_steps"  # how the names of a pair's two pictures end
NUM_SHOWN = 1  # pairs of a kind, for each network: pictures are most of the page
MEANINGS = {"FMR": "false match rate of impostor pairs", "FNMR": "false non-match rate of genuine pairs"}


@dataclass(frozen=True)
class Patched:
    """What one entry of `explanations` left: figures, replaced pairs (schemas.replacement), and pictures."""

    metrics: Mapping[str, Any]
    table: pa.Table
    pictures: Mapping[str, bytes]


def read(data: Path) -> dict[str, Patched] | None:
    """By entry; None where no entry has replaced pairs. A folder that an older version left has none and is passed over.

    Raises:
        DataError: a file is missing or damaged.
    """
    folders = [folder for folder in subfolders(data / "explain") if (folder / FILE).exists()]
    found = {folder.name: _read(folder) for folder in folders}
    return {name: item for name, item in found.items() if len(item.table)} or None


def show(found: Mapping[str, Patched], about: About) -> dict[str, object]:
    """The patched pairs' error rates of all networks, and for each of them curves, areas and pictures of its explanations."""
    sections = about.params.explanations
    networks: dict[str, dict[str, Patched]] = {}
    for name, item in of_params(found, sections).items():
        networks.setdefault(sections[name].network, {})[name] = item
    return {
        "rates": _rates(networks),
        "networks": {
            network: _shown(entries, sections, about.params.explain.seed, about.params.report.num_example_pairs)
            for network, entries in networks.items()
        },
    }


def _rates(networks: Mapping[str, Mapping[str, Patched]]) -> Table:
    """Table 1, a row a network and protocol; all entries of a network have the same patched pairs."""
    rows = []
    for network, entries in networks.items():
        for protocol in _protocols(entries):
            first = next(item for item in entries.values() if f"patches/{protocol}/eer" in item.metrics)
            of = {key: first.metrics.get(f"patches/{protocol}/{key}") for key in ("eer", "fmr", "fnmr")}
            counts = (first.metrics[f"patches/{protocol}/num_{kind}"] for kind in ("genuine", "impostor"))
            shown = (NO_FIGURE if value is None else f"{100 * value:.1f} %" for value in of.values())
            rows.append((network, protocol, *shown, " + ".join(f"{count:.0f}" for count in counts)))
    columns = ("network", "protocol", "EER, clean", "FMR, patched", "FNMR, patched", "genuine + impostor pairs")
    return Table(columns, tuple(rows), (False,) * len(rows))


def _shown(
    entries: Mapping[str, Patched], sections: Mapping[str, Explanation], seed: int, num_pairs: int
) -> dict[str, object]:
    """Of one network: [(protocol, figure, table)] and pictures."""
    floors = [name for name in entries if sections[name].kind == FLOOR]
    protocols = [
        (protocol, drawing(_curves(entries, floors, protocol, seed)), _areas(entries, sections, protocol, seed))
        for protocol in _protocols(entries)
    ]
    return {"protocols": protocols, "pictures": _pictures(entries, floors, num_pairs)}


def _protocols(entries: Mapping[str, Patched]) -> list[str]:
    listed = (pc.unique(item.table["protocol"]).to_pylist() for item in entries.values())
    return list(dict.fromkeys(protocol for protocols in listed for protocol in protocols))


def _curves(entries: Mapping[str, Patched], floors: Sequence[str], protocol: str, seed: int) -> bytes:
    """Fig. 5: each method's curves on all of its pairs, with their intervals."""
    percent = np.linspace(0.0, 100.0, NUM_STEPS + 1)
    panels: dict[str, dict[str, Band]] = {MEANINGS[error]: {} for error in GENUINE}
    for error in GENUINE:
        for name, item in entries.items():
            for curves in resampled_curves({name: _of(item.table, protocol)}, error, seed).values():
                drawn = curves[1:] if len(curves) > 1 else curves
                low, high = np.percentile(drawn, PERCENTILES, axis=0)
                panels[MEANINGS[error]][name] = (percent, curves[0], low, high)
    return figures.replacement_figure(panels, floors)


def _areas(entries: Mapping[str, Patched], sections: Mapping[str, Explanation], protocol: str, seed: int) -> Table:
    """Table 2, a row a method; differences are on the pairs that the method and the random map both have."""
    tables = {name: _of(item.table, protocol) for name, item in entries.items()}
    floor = next((name for name in entries if sections[name].kind == FLOOR), None)
    cells: dict[str, list[str]] = {name: [name, sections[name].kind] for name in tables}
    best = set[tuple[int, int]]()
    for column, error in zip((2, 4), GENUINE, strict=True):
        own = {name: _resampled_areas({name: table}, error, seed).get(name) for name, table in tables.items()}
        values = [np.inf if areas is None else float(areas[0]) for areas in own.values()]
        best |= {(row, column) for row, value in enumerate(values) if value == min(values) < np.inf}
        for name, table in tables.items():
            less = None
            if floor is not None and name != floor:
                both = _resampled_areas({name: table, floor: tables[floor]}, error, seed)
                less = both[floor] - both[name] if both else None
            cells[name] += [_cell(own[name], "{:.2f}"), _cell(less, "{:+.2f}")]
    rows = tuple((*cells[name], str(len(table))) for name, table in tables.items())
    headings = (heading for error in GENUINE for heading in (f"{error} area", "less than random"))
    return Table(("explanation", "method", *headings, "pairs"), rows, (False,) * len(rows), best=frozenset(best))


def _resampled_areas(tables: Mapping[str, pa.Table], error: str, seed: int) -> dict[str, Doubles]:
    return {name: area(curves) for name, curves in resampled_curves(tables, error, seed).items()}


def _cell(resampled: Doubles | None, style: str) -> str:
    """A figure and its interval, from its values as the pairs are and on resamples: 30.00 (12.10 to 41.52)."""
    if resampled is None:
        return NO_FIGURE
    limits = ends(resampled[1:])
    numbers = [style.format(value).replace("-", "−") for value in (resampled[0], *(limits or ()))]
    return numbers[0] if limits is None else f"{numbers[0]} ({numbers[1]} to {numbers[2]})"


def _of(table: pa.Table, protocol: str) -> pa.Table:
    return table.filter(pc.equal(table["protocol"], protocol))


def _pictures(
    entries: Mapping[str, Patched], floors: Sequence[str], num_pairs: int
) -> list[tuple[str, Picture, list[tuple[str, Picture]]]]:
    """(genuine or impostor, how the pair was patched, [(entry, how its map gives it back)]) of the first pairs of each kind."""
    shown = {name: item.pictures for name, item in entries.items() if name not in floors}
    pairs = sorted(
        {key.removesuffix(PATCHES) for pictures in shown.values() for key in pictures if key.endswith(PATCHES)}
    )
    found = []
    for kind in ("genuine", "impostor"):
        for pair in [pair for pair in pairs if kind in pair][: min(NUM_SHOWN, num_pairs)]:
            having = {name: pictures for name, pictures in shown.items() if f"{pair}{PATCHES}" in pictures}
            steps = [(name, photo(pictures[f"{pair}{STEPS}"])) for name, pictures in having.items()]
            found.append((kind, photo(next(iter(having.values()))[f"{pair}{PATCHES}"]), steps))
    return found


def _read(folder: Path) -> Patched:
    return Patched(
        metrics=read_json(folder / "metrics.json"),
        table=read_table(folder / FILE, REPLACEMENT),
        pictures=read_pictures(folder / "replacement"),
    )
