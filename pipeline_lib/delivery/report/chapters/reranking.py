"""Re-ranking of queries: what it changes, in figures and in pictures, an entry of `rerank` after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.alpha_curves import alpha_curves
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.delivery.report.flows import Flow, open_flows
from pipeline_lib.delivery.report.html import drawing, photo
from pipeline_lib.delivery.report.inputs import read_images
from pipeline_lib.delivery.report.reranking_tables import (
    Figures,
    kinds_table,
    searched_words,
    speed_of,
    summary_table,
)
from pipeline_lib.delivery.report.strips import (
    FirstPlaces,
    Image,
    Strip,
    choose_queries,
    draw_strip,
    first_places,
    read_strips,
)
from pipeline_lib.schemas.ranks import ENTRY, NO_KINDS, RANKS, SEARCH
from pipeline_lib.schemas.rerank_seconds import RERANK_SECONDS

ORDER = 60
TITLE = "Re-ranking"
NEEDS = ("rerank",)


@dataclass(frozen=True)
class Reranked:
    """What one entry of `rerank` left.

    Attributes:
        figures: params, measures of each kind of query, and speed.
        search: how stage 1 searched.
        places: the first places.
        curves: P@1 over alpha; none where a whole gallery was compared.
        strips: the drawn examples.
        weights: an example pair with its cells' weights; None where there is none, or all cells weigh the same.
    """

    figures: Figures
    search: Mapping[str, Any]
    places: FirstPlaces
    curves: Mapping[str, Band]
    strips: tuple[tuple[Strip, Image], ...]
    weights: Image | None


def read(data: Path) -> dict[str, Reranked] | None:
    """By entry; None where there is none.

    Raises:
        DataError: a file is missing or damaged, or a ranking names an image that is not there.
    """
    return {folder.name: read_entry(folder, data) for folder in subfolders(data / "rerank")} or None


def read_entry(folder: Path, data: Path) -> Reranked:
    """Read one entry's folder, and draw its examples with the images and maps below `data`; see read."""
    ranks = read_table(folder / "ranks.parquet", RANKS)
    metrics = read_json(folder / "metrics.json")
    try:
        entry, search = metrics[ENTRY], metrics[SEARCH]
    except KeyError as error:
        raise DataError("A re-ranking's figures lack a key; rerun it.", got=f"no {error}", where=folder) from error
    places = first_places(ranks)
    drawn, weights = _drawn(ranks, places, entry, data)
    seconds = read_table(folder / "seconds.parquet", RERANK_SECONDS)
    speed = speed_of(*(seconds[name].to_numpy() for name in ("num_pairs", "num_threads", "seconds")))
    kinds = {kind: row for kind, row in metrics.items() if kind not in NO_KINDS}
    curves = {} if entry["top_k"] is None else alpha_curves(ranks)
    return Reranked(Figures(entry, kinds, speed), search, places, curves, drawn, weights)


def show(found: Mapping[str, Reranked], about: About) -> dict[str, object]:
    """A table of all entries; of each entry a table and a curve, and of the first one of each network pictures."""
    shown = of_params(found, about.params.rerank)
    pictured: set[str] = set()
    entries = {}
    for name, item in shown.items():
        entry = item.figures.entry
        is_first = entry["network"] not in pictured
        pictured.add(entry["network"])
        entries[name] = {
            "section": entry,
            "table": kinds_table(item.figures.kinds, item.places),
            "searched": searched_words(item.search),
            "curve": drawing(figures.alpha_figure(item.curves, entry["alpha"])) if item.curves else None,
            "weights": None if item.weights is None else photo(encode_png(item.weights)),
            "strips": [(strip, photo(encode_png(picture))) for strip, picture in item.strips] if is_first else [],
            "is_first": is_first,
        }
    return {"entries": entries, "summary": summary_table({name: item.figures for name, item in shown.items()})}


def _drawn(
    ranks: Any, places: FirstPlaces, entry: Mapping[str, Any], data: Path
) -> tuple[tuple[tuple[Strip, Image], ...], Image | None]:
    """The strips, and the weights of the first one's query and best face after re-ranking."""
    strips = read_strips(ranks, choose_queries(places))
    shown = {key for strip in strips for key, _ in (*strip.before, *strip.after)}
    images = read_images(data, {strip.query_key for strip in strips} | shown)
    flows = open_flows(data, entry) if strips else None
    drawn, weights = [], None
    for strip in strips:
        query = images[strip.query_key]
        found: Sequence[Flow | None] = (
            () if flows is None else [flows.between(strip.query_key, key) for key, _ in strip.after]
        )
        faces = [images[key] for key, _ in strip.after]
        pictures = [None if flow is None else flow.drawn(query, face) for flow, face in zip(found, faces, strict=False)]
        drawn.append((strip, draw_strip(strip, images, images, pictures)))
        if weights is None and found and found[0] is not None and entry.get("weights") != "uniform":
            first, second = found[0].weighed(query, faces[0])
            weights = np.hstack([query, first, second, faces[0]])
    return tuple(drawn), weights
