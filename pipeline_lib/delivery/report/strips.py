"""Re-ranking in pictures: an occluded query, its nearest faces before and after, and the flow between; without names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError

NUM_SHOWN = 5
FRAME_PX, GAP_PX, TILE_PX = 4, 6, 112
RIGHT, WRONG, NEUTRAL = (0, 114, 178), (213, 94, 0), (93, 104, 115)  # blue, orange, grey: no red and green
WHITE = 255

Image = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FirstPlaces:
    """Of every query that has a right answer: its kind, and whether its first place was right before and after.

    Attributes:
        query_keys, kinds: Q each, in the order of the table.
        before, after: bool (Q,).
    """

    query_keys: pa.Array
    kinds: pa.Array
    before: Bools
    after: Bools

    @property
    def mended(self) -> Bools:
        """Wrong before, right after: bool (Q,)."""
        return ~self.before & self.after

    @property
    def spoilt(self) -> Bools:
        """Right before, wrong after: bool (Q,)."""
        return self.before & ~self.after


@dataclass(frozen=True)
class Strip:
    """One query and its first gallery keys before and after; each key with whether it shows the query's person."""

    query_key: str
    kind: str
    before: tuple[tuple[str, bool], ...]
    after: tuple[tuple[str, bool], ...]


def first_places(ranks: pa.Table) -> FirstPlaces:
    """The first places of schemas.ranks.RANKS.

    Raises:
        DataError: a query has not exactly one first place in both rankings.
    """
    known = ranks.filter(pc.greater(ranks["num_relevant"], 0))
    before, after = (known.filter(pc.equal(known[rank], 1)) for rank in ("rank_cosine", "rank_reranked"))
    # Both are in the table's order of queries, whose candidates stand together.
    if not before["query_key"].equals(after["query_key"]):
        raise DataError("The ranks are damaged; rerun the rerank stage.", got="queries without one first place each")
    keys, kinds = (before[name].combine_chunks() for name in ("query_key", "kind"))
    return FirstPlaces(keys, kinds, *(np.asarray(table["genuine"].to_numpy(), np.bool_) for table in (before, after)))


def choose_queries(places: FirstPlaces) -> list[str]:
    """Keys of the first query of each kind that was put right, then of the first of each kind that was spoilt.

    The order is that of the table, so nothing is picked by eye. Where a kind has none, none is shown.
    """
    kinds = places.kinds.dictionary_encode().indices.to_numpy()
    chosen: list[str] = []
    for changed in (places.mended, places.spoilt):
        rows = np.flatnonzero(changed)
        firsts = np.sort(np.unique(kinds[rows], return_index=True)[1])
        chosen += places.query_keys.take(pa.array(rows[firsts])).to_pylist()
    return chosen


def read_strips(ranks: pa.Table, query_keys: Sequence[str]) -> list[Strip]:
    """The first five places of some queries before and after, from schemas.ranks.RANKS."""
    wanted = ranks.filter(pc.is_in(ranks["query_key"], pa.array(query_keys, pa.string())))
    strips = []
    for key in query_keys:
        rows = wanted.filter(pc.equal(wanted["query_key"], key))
        places = [_first(rows, rank) for rank in ("rank_cosine", "rank_reranked")]
        strips.append(Strip(key, rows["kind"][0].as_py(), *places))
    return strips


def draw_strip(
    strip: Strip, queries: Mapping[str, Image], gallery: Mapping[str, Image], flows: Sequence[Image | None] = ()
) -> Image:
    """The query, then rows of faces: before above, after below, the flows to these in between (thesis, Fig. 3.1 and 5.2).

    A blue frame is the right person, orange another, none a flow.

    Args:
        strip: from read_strips.
        queries, gallery: key -> uint8 (112, 112, 3) RGB, of all that the strip names.
        flows: the query put together from each face of `strip.after`, None where nothing flows; empty for no such row.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    rows = [
        np.hstack([_framed(gallery[key], RIGHT if genuine else WRONG) for key, genuine in places])
        for places in (strip.before, strip.after)
    ]
    if any(flow is not None for flow in flows):
        blank = np.full((TILE_PX, TILE_PX, 3), WHITE, np.uint8)
        rows.insert(1, np.hstack([_framed(blank if flow is None else flow, (WHITE,) * 3) for flow in flows]))
    faces = np.vstack(rows)
    query = _framed(queries[strip.query_key], NEUTRAL)
    top = (len(faces) - len(query)) // 2
    column = np.full((len(faces), query.shape[1] + 2 * GAP_PX, 3), WHITE, np.uint8)
    column[top : top + len(query), : query.shape[1]] = query
    return np.hstack([column, faces])


def _first(rows: pa.Table, rank: str) -> tuple[tuple[str, bool], ...]:
    ordered = rows.sort_by(rank).slice(0, NUM_SHOWN)
    return tuple(zip(ordered["gallery_key"].to_pylist(), ordered["genuine"].to_pylist(), strict=True))


def _framed(image: Image, colour: tuple[int, int, int]) -> Image:
    edge, gap = (FRAME_PX,) * 4, (GAP_PX // 2,) * 4
    framed = cv2.copyMakeBorder(image, *edge, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(cv2.copyMakeBorder(framed, *gap, cv2.BORDER_CONSTANT, value=(WHITE,) * 3), np.uint8)
