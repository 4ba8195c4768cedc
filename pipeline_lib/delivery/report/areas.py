"""Names for parts of the aligned face, so that a patch can be spoken of."""

from collections.abc import Sequence

# Rectangles x0 y0 x1 y1 in px of the aligned 112x112 face, around the template's landmarks (alignment.TEMPLATE): eyes
# at (38, 52) and (74, 52), nose tip (56, 72), mouth corners (42, 92) and (71, 92). Left and right as seen in the picture.
AREAS: dict[str, tuple[int, int, int, int]] = {
    "forehead": (24, 0, 88, 34),
    "left eye": (24, 36, 50, 62),
    "right eye": (62, 36, 88, 62),
    "bridge of the nose": (50, 40, 62, 62),
    "nose": (44, 60, 68, 80),
    "left cheek": (14, 62, 40, 90),
    "right cheek": (72, 62, 98, 90),
    "mouth": (38, 84, 74, 102),
    "chin": (36, 100, 76, 112),
    "left edge of the face": (0, 20, 12, 92),
    "right edge of the face": (100, 20, 112, 92),
}
TOGETHER = {
    frozenset({"left eye", "right eye"}): "both eyes",
    frozenset({"left cheek", "right cheek"}): "both cheeks",
}
# Areas that need no name of their own beside one of these.
IMPLIED_BY = {
    "bridge of the nose": {"nose", "both eyes"},
    "left edge of the face": {"left eye", "left cheek"},
    "right edge of the face": {"right eye", "right cheek"},
}
SHARE_COVERED = 0.5  # of an area that a patch must show to be named after it
MAX_NAMED = 3


def describe_patch(x: int, y: int, w: int, h: int) -> str:
    """What a patch shows, in words: the areas it covers at least half of (the best covered three), else the nearest one.

    Args:
        x, y, w, h: px of the aligned 112x112 face.
    """
    covered = {name: _covered(area, x, y, w, h) for name, area in AREAS.items()}
    names = [name for name in AREAS if covered[name] >= SHARE_COVERED]
    if not names:
        # Small patches may cover no area by half: the one that fills most of the patch, else the nearest centre.
        names = [max(AREAS, key=lambda name: (_shown(AREAS[name], x, y, w, h), -_distance(AREAS[name], x, y, w, h)))]
    for pair, together in TOGETHER.items():
        if pair <= set(names):
            covered[together] = min(covered[name] for name in pair)
            first = min(names.index(name) for name in pair)
            names = [*names[:first], together, *(name for name in names[first:] if name not in pair)]
    names = [name for name in names if not IMPLIED_BY.get(name, set()) & set(names)]
    best = sorted(names, key=lambda name: -covered[name])[:MAX_NAMED]
    return _listed([name for name in names if name in best])


def _overlap(area: tuple[int, int, int, int], x: int, y: int, w: int, h: int) -> int:
    x0, y0, x1, y1 = area
    return max(0, min(x1, x + w) - max(x0, x)) * max(0, min(y1, y + h) - max(y0, y))


def _covered(area: tuple[int, int, int, int], x: int, y: int, w: int, h: int) -> float:
    x0, y0, x1, y1 = area
    return _overlap(area, x, y, w, h) / ((x1 - x0) * (y1 - y0))


def _shown(area: tuple[int, int, int, int], x: int, y: int, w: int, h: int) -> float:
    return _overlap(area, x, y, w, h) / (w * h)


def _distance(area: tuple[int, int, int, int], x: int, y: int, w: int, h: int) -> float:
    x0, y0, x1, y1 = area
    return ((x0 + x1) / 2 - x - w / 2) ** 2 + ((y0 + y1) / 2 - y - h / 2) ** 2


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
