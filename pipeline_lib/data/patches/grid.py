"""Where patches lie in the aligned image: region positions, mirrored pairs, the layouts of RRFNet."""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.geometry import FACE_PX

SIZES_PX = (28, 56)
REGION_NAME = re.compile(r"p(\d+)_x(\d+)_y(\d+)")

# RRFNet Table V, in its order; (x, y) of the top-left corner.
_TABLE_V = {
    "corners4": [(0, 0), (0, 56), (56, 0), (56, 56)],
    "cross4": [(0, 28), (28, 0), (56, 28), (28, 56)],
    "corners5": [(0, 0), (0, 56), (56, 0), (56, 56), (28, 28)],
    "cross5": [(0, 28), (28, 0), (56, 28), (28, 56), (28, 28)],
}
LAYOUTS = {56: (*_TABLE_V, "all9"), 28: ("no_corners33", "all49")}


@dataclass(frozen=True)
class Region:
    """A square of size_px with its top-left corner at (x, y), in pixels of the 112x112 image.

    Raises:
        ParamsError: the square leaves the image.
    """

    size_px: int
    x: int
    y: int

    def __post_init__(self) -> None:
        largest = FACE_PX - self.size_px
        if self.size_px < 1 or not (0 <= self.x <= largest and 0 <= self.y <= largest):
            raise ParamsError("A region leaves the aligned image.", got=self.name, allowed=f"x and y in 0..{largest}")

    @property
    def name(self) -> str:
        """As in params and folder names: p56_x0_y28."""
        return f"p{self.size_px}_x{self.x}_y{self.y}"

    @property
    def mirror(self) -> "Region":
        """The region that covers the same part of the mirrored image: x -> 112 - size - x."""
        return Region(self.size_px, FACE_PX - self.size_px - self.x, self.y)


def parse_region(name: str) -> Region:
    """Read a region's name, `p<size>_x<x>_y<y>`, of the grid with steps of half a patch.

    Raises:
        ParamsError: the text is no such name, or the place is not on the grid.
    """
    match = REGION_NAME.fullmatch(name)
    size, x, y = map(int, match.groups()) if match else (0, 0, 0)
    on_grid = size in SIZES_PX and x in _columns(size) and y in _columns(size)
    if not match or not on_grid or Region(size, x, y).name != name:  # the last: no leading zeros, one name a region
        raise ParamsError(
            "A region's name is wrong.",
            got=name,
            allowed="p28_x{0,14,..,84}_y{0,14,..,84} or p56_x{0,28,56}_y{0,28,56}",
            where="regions.alone, regions.groups",
        )
    return Region(size, x, y)


def layout_positions(size_px: int, layout: str) -> npt.NDArray[np.int64]:
    """Top-left corners of a layout's patches (RRFNet section III-B, Fig. 2, Table V).

    56 px: corners4, cross4, corners5, cross5 (the paper's choice), in Table V's order; all9, all of {0,28,56}^2.
    28 px: all49, all of {0,14,..,84}^2; no_corners33 (the paper's choice), those 33 that share no pixel with the four
    28x28 corners of the image. The whole grids go row by row.

    Args:
        size_px: 28 or 56.
        layout: as above.

    Returns:
        int64 (K, 2), x and y in pixels.

    Raises:
        ParamsError: the layout does not exist for this size.
    """
    if layout not in LAYOUTS.get(size_px, ()):
        raise ParamsError(
            "A patch layout does not exist for this patch size.",
            got=f"side_px {size_px}, layout {layout}",
            allowed="; ".join(f"{size}: {', '.join(names)}" for size, names in LAYOUTS.items()),
            where="networks.*.patches",
        )
    grid = [(x, y) for y in _columns(size_px) for x in _columns(size_px)]
    if layout == "no_corners33":
        grid = [(x, y) for x, y in grid if 28 <= x <= 56 or 28 <= y <= 56]
    return np.array(_TABLE_V.get(layout, grid), dtype=np.int64)


def unique_regions(size_px: int) -> list[Region]:
    """The regions that need a network of their own when mirrored positions share one (RRFNet section III-A).

    The left half of the grid with the middle column: 28 regions for 28 px (columns 0, 14, 28, 42), 6 for 56 px (columns
    0, 28); column by column.

    Raises:
        ParamsError: a size that is neither 28 nor 56.
    """
    if size_px not in SIZES_PX:
        raise ParamsError("Patches have one of two sizes.", got=size_px, allowed=SIZES_PX)
    columns = _columns(size_px)
    return [Region(size_px, x, y) for x in columns if 2 * x <= FACE_PX - size_px for y in columns]


def _columns(size_px: int) -> range:
    return range(0, FACE_PX - size_px + 1, size_px // 2)
