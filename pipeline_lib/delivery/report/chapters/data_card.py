"""Data card: the photographs by source and split, what was drawn on them, and which may stand under two names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.report.card_figure import card_figure
from pipeline_lib.delivery.report.card_words import (
    as_markdown,
    how_it_was_looked_at,
    in_words,
    overlaps_in_words,
    rejects_table,
    sets_table,
    sources_table,
)
from pipeline_lib.delivery.report.chapter import About, of_params
from pipeline_lib.delivery.report.data_card import LOOKED_AT, CardData, make_card, read_card_data
from pipeline_lib.delivery.report.html import drawing, photo
from pipeline_lib.delivery.report.inputs import read_images, read_picture
from pipeline_lib.schemas.near_duplicates import NEAR_DUPLICATES

ORDER = 65
TITLE = "Data card"
NEEDS = ("ingest/manifest.parquet", "ingest/counts.json", "align/index.parquet")

MOST_PAIRS_SHOWN = 10


@dataclass(frozen=True)
class Duplicates:
    """near_duplicates.json of one gallery, and the nearest pairs in a picture, above and below; None where there is none."""

    network: str
    figures: Mapping[str, Any]
    pairs: bytes | None


@dataclass(frozen=True)
class Found:
    """The card's data, the folder of photographs that ingest made, and the contact sheet and near-duplicates, where they are."""

    card: CardData
    made: Path
    sheet: bytes | None
    duplicates: Sequence[Duplicates]


def read(data: Path) -> Found:
    """Raises DataError: a file is missing or damaged, see read_card_data."""
    sheet = data / "occlude" / "contact_sheet.png"
    searched = sorted(path.parent for path in (data / "gallery").glob("*/near_duplicates.json"))
    return Found(
        card=read_card_data(data),
        made=data / "ingest" / "photos",
        sheet=read_picture(sheet) if sheet.exists() else None,
        duplicates=[_duplicates(data, folder) for folder in searched],
    )


def show(found: Found, about: About) -> dict[str, object]:
    """Tables of sources, sets and rejects, histograms, the contact sheet, and pairs that may be one photograph."""
    ingest, galleries = about.params.ingest, about.params.galleries
    card = make_card(found.card, ingest, found.made)
    searched = of_params({one.network: one for one in found.duplicates}, galleries).values()
    return {
        "sources": sources_table(card),
        "sets": sets_table(card),
        "rejects": rejects_table(card),
        "how": how_it_was_looked_at(card),
        "overlaps": overlaps_in_words(card),
        "figure": drawing(card_figure(_by_split(found.card))),
        "sheet": None if found.sheet is None else photo(found.sheet),
        "kinds": about.params.occlude.kinds,
        "duplicates": [(in_words(one.network, one.figures), one.pairs and photo(one.pairs)) for one in searched],
    }


def beside(found: Found, about: About) -> dict[str, str]:
    """The card as files of their own: JSON and Markdown."""
    card = make_card(found.card, about.params.ingest, found.made)
    searched = of_params({one.network: dict(one.figures) for one in found.duplicates}, about.params.galleries)
    card |= {"near_duplicates": searched}
    return {"data_card.json": json.dumps(card, indent=1, allow_nan=False) + "\n", "data_card.md": as_markdown(card)}


def _duplicates(data: Path, folder: Path) -> Duplicates:
    table = read_table(folder / "near_duplicates.parquet", NEAR_DUPLICATES)
    likest = table.sort_by([("pixel_correlation", "descending")]).slice(0, MOST_PAIRS_SHOWN).to_pylist()
    images = read_images(data, [row[side] for row in likest for side in ("image_a", "image_b")])
    rows = (
        [np.concatenate([images[row[side]] for row in likest], axis=1) for side in ("image_a", "image_b")]
        if likest
        else []
    )
    picture = encode_png(np.concatenate(rows)) if rows else None
    return Duplicates(folder.name, read_json(folder / "near_duplicates.json"), picture)


def _by_split(card: CardData) -> dict[str, dict[str, np.ndarray]]:
    """Split -> what is drawn -> values: of the sample, and how many aligned images each person has."""
    found: dict[str, dict[str, np.ndarray]] = {}
    splits = dict(zip(card.aligned["image_id"].to_pylist(), card.aligned["split"].to_pylist(), strict=True))
    of_seen = np.array([splits[image_id] for image_id in card.looked_at["image_id"].to_pylist()], object)
    for split in dict.fromkeys(of_seen.tolist()):
        own = card.aligned.filter(pc.equal(card.aligned["split"], split))
        images = own.group_by("identity").aggregate([("identity", "count")])["identity_count"].to_numpy()
        seen = {name: card.looked_at[name].to_numpy()[of_seen == split] for name in LOOKED_AT}
        found[split] = {"images": images, **seen}
    return found
