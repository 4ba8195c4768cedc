"""A box that a source states of a photograph: who of several people is meant (align.several_faces: box)."""

import math

from pipeline_lib.core.errors import DataError

CORNERS = ("x0", "y0", "x1", "y1")
MAX_PX = 1e6  # more than any photograph has
Box = tuple[float, float, float, float]


def stated_box(value: object, where: object) -> Box:
    """x0 y0 x1 y1, px of the upright photograph, which it may reach beyond, of a source's four numbers, or texts of such.

    Raises:
        DataError: they are not four, one is no number, or the box has no area.
    """
    try:
        x0, y0, x1, y1 = map(float, value)  # type: ignore[call-overload]  # what is no sequence is no box
    except (TypeError, ValueError):
        x0 = y0 = x1 = y1 = math.nan
    if not (-MAX_PX < x0 < x1 < MAX_PX and -MAX_PX < y0 < y1 < MAX_PX):
        allowed = "x0, y0, x1, y1 px with x0 < x1 and y0 < y1"
        raise DataError("A box is none.", got=str(value)[:100], allowed=allowed, where=where)
    return x0, y0, x1, y1
