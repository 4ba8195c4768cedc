"""Re-ranking in pictures: an occluded query and its nearest faces before and after, without names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

NUM_SHOWN = 5
FRAME_PX, GAP_PX, TILE_PX = 4, 6, 112
RIGHT, WRONG, NEUTRAL = (0, 114, 178), (213, 94, 0), (93, 104, 115)  # blue, orange, grey: no red and green
WHITE = 255

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Strip:
    """One query and its first gallery keys before and after; each key with whether it shows the query's person."""

    query_key: str
    kind: str
    before: tuple[tuple[str, bool], ...]
    after: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Changes:
    """How many queries' first place was put right, was spoilt, or stayed (right or wrong)."""

    num_mended: int
    num_spoilt: int
    num_unchanged: int


def read_strips(rows: Sequence[Mapping[str, object]]) -> list[Strip]:
    """The first five places of each query, from rows of schemas.ranks.RANKS."""
    by_query: dict[str, list[Mapping[str, object]]] = {}
    for row in rows:
        by_query.setdefault(str(row["query_key"]), []).append(row)
    return [
        Strip(key, str(found[0]["kind"]), _first(found, "rank_cosine"), _first(found, "rank_reranked"))
        for key, found in by_query.items()
    ]


def count_changes(strips: Sequence[Strip]) -> Changes:
    """What re-ranking did to the queries' first places."""
    firsts = [(strip.before[0][1], strip.after[0][1]) for strip in strips]
    mended = sum(not before and after for before, after in firsts)
    spoilt = sum(before and not after for before, after in firsts)
    return Changes(mended, spoilt, len(firsts) - mended - spoilt)


def choose_strips(strips: Sequence[Strip], num_mended: int, num_spoilt: int) -> list[Strip]:
    """The first mended queries of different kinds, and the first spoilt ones: both outcomes are shown.

    The order is that of the table, so nothing is picked by eye. Where fewer exist, fewer are shown.
    """
    mended = [strip for strip in strips if not strip.before[0][1] and strip.after[0][1]]
    spoilt = [strip for strip in strips if strip.before[0][1] and not strip.after[0][1]]
    return [*_of_different_kinds(mended)[:num_mended], *_of_different_kinds(spoilt)[:num_spoilt]]


def draw_strip(strip: Strip, read_query: Callable[[str], Image], read_gallery: Callable[[str], Image]) -> Image:
    """The query, then two rows of faces: before above, after below; a blue frame is the right person, orange another.

    Args:
        strip: from choose_strips.
        read_query, read_gallery: key -> uint8 (112, 112, 3) RGB.

    Returns:
        uint8 (H, W, 3) RGB.
    """
    rows = [
        np.hstack([_framed(read_gallery(key), RIGHT if genuine else WRONG) for key, genuine in places])
        for places in (strip.before, strip.after)
    ]
    faces = np.vstack(rows)
    query = _framed(read_query(strip.query_key), NEUTRAL)
    top = (len(faces) - len(query)) // 2
    column = np.full((len(faces), query.shape[1] + 2 * GAP_PX, 3), WHITE, np.uint8)
    column[top : top + len(query), : query.shape[1]] = query
    return np.hstack([column, faces])


def _first(rows: Sequence[Mapping[str, object]], rank: str) -> tuple[tuple[str, bool], ...]:
    ordered = sorted(rows, key=lambda row: int(str(row[rank])))[:NUM_SHOWN]
    return tuple((str(row["gallery_key"]), bool(row["genuine"])) for row in ordered)


def _of_different_kinds(strips: Sequence[Strip]) -> list[Strip]:
    """One of each kind first, then the second of each, and so on."""
    counts: dict[str, int] = {}
    turns = []
    for place, strip in enumerate(strips):
        turns.append((counts.get(strip.kind, 0), place))
        counts[strip.kind] = counts.get(strip.kind, 0) + 1
    return [strips[place] for _, place in sorted(turns)]


def _framed(image: Image, colour: tuple[int, int, int]) -> Image:
    edge, gap = (FRAME_PX,) * 4, (GAP_PX // 2,) * 4
    framed = cv2.copyMakeBorder(image, *edge, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(cv2.copyMakeBorder(framed, *gap, cv2.BORDER_CONSTANT, value=(WHITE,) * 3), np.uint8)
