"""Re-ranking of occluded queries: what it changes, in figures and in pictures, an entry of `rerank` after the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.html import photo_uri
from pipeline_lib.delivery.report.inputs import read_images
from pipeline_lib.delivery.report.strips import (
    FirstPlaces,
    Image,
    Strip,
    choose_queries,
    draw_strip,
    first_places,
    read_strips,
)
from pipeline_lib.delivery.report.tables import Table
from pipeline_lib.schemas.ranks import RANKS

ORDER = 60
TITLE = "Re-ranking"
NEEDS = ("rerank",)
ALL = "all"  # the row of all kinds together


@dataclass(frozen=True)
class Reranked:
    """What one entry of `rerank` left: figures by kind of query, the first places, and the drawn examples."""

    metrics: Mapping[str, Mapping[str, Any]]
    places: FirstPlaces
    strips: tuple[tuple[Strip, Image], ...]


def read(data: Path) -> dict[str, Reranked] | None:
    """By entry; None where there is none.

    Raises:
        DataError: a file is missing or damaged, or a ranking names an image that is not there.
    """
    return {folder.name: read_entry(folder, data) for folder in subfolders(data / "rerank")} or None


def read_entry(folder: Path, data: Path) -> Reranked:
    """Read one entry's folder, and draw its examples with the images below `data`; see read."""
    ranks = read_table(folder / "ranks.parquet", RANKS)
    places = first_places(ranks)
    strips = read_strips(ranks, choose_queries(places))
    shown = {key for strip in strips for key, _ in (*strip.before, *strip.after)}
    images = read_images(data, {strip.query_key for strip in strips} | shown)
    drawn = tuple((strip, draw_strip(strip, images, images)) for strip in strips)
    return Reranked(read_json(folder / "metrics.json"), places, drawn)


def show(found: Mapping[str, Reranked], about: About) -> dict[str, object]:
    """A table and pictures an entry; see reranking_table."""
    sections = about.params.rerank
    shown = {}
    for name, item in of_params(found, sections).items():
        strips = [(strip, photo_uri(encode_png(picture))) for strip, picture in item.strips]
        shown[name] = {
            "section": sections[name],
            "table": reranking_table(item.metrics, item.places),
            "strips": strips,
        }
    return {"entries": shown}


def reranking_table(metrics: Mapping[str, Mapping[str, Any]], places: FirstPlaces) -> Table:
    """P@1, RP and MAP@R of occluded queries, before → after re-ranking, and whose first place changed; "all" last.

    Pairs without flow are candidates none of whose patches resembles the query's: stage 2 leaves them in their place.

    Args:
        metrics: of data/rerank/<entry>/metrics.json.
        places: of ranks.parquet beside it.

    Raises:
        DataError: a kind lacks a figure, or the two files disagree.
    """
    rows, groups = [], []
    for kind in sorted(metrics, key=lambda kind: (kind == ALL, kind)):
        row = metrics[kind]
        among = np.logical_or(kind == ALL, pc.equal(places.kinds, kind).to_numpy(zero_copy_only=False))
        try:
            stages = [row[stage] for stage in ("cosine", "reranked")]
            cells = [
                " → ".join(f"{100 * stage[key]['value']:.2f}" for stage in stages)
                for key in ("p_at_1", "rp", "map_at_r")
            ]
            counts = [str(row[key]) for key in ("num_queries", "num_left_out", "num_nothing_carried")]
            num_right = [round(stage["p_at_1"]["value"] * row["num_queries"]) for stage in stages]
        except (KeyError, TypeError) as error:
            raise DataError("Re-ranking metrics lack a figure.", got=f"{kind} without {error}") from error
        counted = [int(right[among].sum()) for right in (places.before, places.after)]
        if counted != num_right:
            problem = "Ranks and metrics of a re-ranking disagree; rerun the rerank stage."
            raise DataError(problem, got=f"{kind}: {counted} first places right, of P@1 {num_right}")
        changed = (str(int(rows_of[among].sum())) for rows_of in (places.mended, places.spoilt))
        rows.append((kind, *(f"{cell} %" for cell in cells), *changed, *counts))
        groups.append(kind == ALL)
    columns = ("queries", "P@1", "RP", "MAP@R", "put right", "spoilt", "number", "left out", "pairs without flow")
    return Table(columns, tuple(rows), tuple(groups), num_words=1)
