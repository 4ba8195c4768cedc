"""Two networks' places of a face brought to one grid."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import ParamsError

Boxes = npt.NDArray[np.int64]


def lattice(grid: Boxes) -> tuple[int, int] | None:
    """Rows and columns of boxes that are listed row by row and stand in rows and columns; None of others.

    Args:
        grid: (K,4), x y w h in px.
    """
    columns, rows = (len(np.unique(grid[:, side])) for side in (0, 1))
    if rows * columns != len(grid):
        return None
    y, x = grid[:, 1].reshape(rows, columns), grid[:, 0].reshape(rows, columns)
    is_one = (y == y[:, :1]).all() and (x == x[:1]).all() and (np.diff(y[:, 0]) > 0).all() and (np.diff(x[0]) > 0).all()
    return (rows, columns) if is_one else None


def common_grid(grids: dict[str, Boxes]) -> tuple[str, tuple[int, int]]:
    """The network whose grid all are brought to, and that grid's rows and columns: the coarsest one that is a lattice, the
    first of several.

    Args:
        grids: int64 (K,4) each, by network.

    Raises:
        ParamsError: none is a lattice, as a depthwise convolution needs it.
    """
    found = {name: shape for name, grid in grids.items() if (shape := lattice(grid)) is not None}
    if not found:
        raise ParamsError(
            "Maps are fused on rows and columns of cells, and neither network has such.",
            got=", ".join(grids),
            allowed="one whose patches stand in full rows and columns: a network of whole faces, an RRFNet of all9 or all49",
            where="networks_over.<name>.over",
        )
    name = min(found, key=lambda each: len(grids[each]))
    return name, found[name]


def brought(source: Boxes, target: Boxes) -> npt.NDArray[np.float32]:
    """How much each cell of one grid counts in each cell of another.

        W[t,s] = area(t ∩ s) / Σ_s' area(t ∩ s'),   or 1 for the s whose centre is nearest where t meets none

    A cell of the target grid is thus the mean of what lies at its own place of the face, whatever part of the face each
    network sees; beyond the source's part (MobileFaceNet leaves out 8 columns on either side) its border stands in.

    Args:
        source: int64 (S,4), x y w h in px of the aligned face.
        target: int64 (T,4), likewise.

    Returns:
        float32 (T,S), rows of sum 1; the identity where the grids are equal and their boxes do not overlap.
    """
    ends = [(grid[:, :2], grid[:, :2] + grid[:, 2:]) for grid in (target, source)]
    (first_t, last_t), (first_s, last_s) = ends
    sides = np.minimum(last_t[:, None], last_s) - np.maximum(first_t[:, None], first_s)
    areas = sides.clip(min=0).prod(axis=2).astype(np.float64)
    apart = np.square(((first_t + last_t)[:, None] - (first_s + last_s)).astype(np.float64)).sum(axis=2)
    nearest = np.eye(len(source))[apart.argmin(axis=1)]
    areas = np.where(areas.any(axis=1, keepdims=True), areas, nearest)
    return np.asarray(areas / areas.sum(axis=1, keepdims=True), np.float32)
