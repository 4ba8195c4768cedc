"""The patches of faces before their transport: coarser grids, the mean cell off, unit length, the landmarks in each."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError

Floats = npt.NDArray[np.float32]
Boxes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class UnitPatches:
    """The patches of images, ready for transport; all on one device, which is where their transport is solved.

    Attributes:
        unit: float32 (A, N, C), patches of unit length.
        mean: float32 (A, C), the mean of the patches as they came, brought to unit length.
        vector: float32 (A, D), the images' embeddings of unit length, which the weights cc need.
        landmarks: float32 (A, N), share of the landmarks in each patch, which the weights lmk need.
    """

    unit: Tensor
    mean: Tensor
    vector: Tensor | None = None
    landmarks: Tensor | None = None

    def take(self, rows: Tensor) -> "UnitPatches":
        """Those of the images `rows`, int64 on the same device, in that order."""
        return self._each(lambda values: values[rows])

    def to(self, device: torch.device) -> "UnitPatches":
        """The same on another device."""
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "UnitPatches":
        values = [getattr(self, field.name) for field in fields(self)]
        return UnitPatches(*[None if value is None else change(value) for value in values])  # type: ignore[arg-type]


def unit_patches(
    patches: Floats,
    names: Callable[[int], str] = "image {}".format,
    vectors: Floats | None = None,
    landmarks: Floats | None = None,
) -> UnitPatches:
    """Bring patch features (A, N, C) to unit length, once for all the pairs an image is in.

    Args:
        patches: as the network gave them, or less the mean cell.
        names: what an error calls image number i.
        vectors: float32 (A, D), embeddings, for the weights cc.
        landmarks: float32 (A, N), of landmark_shares, for the weights lmk.

    Raises:
        DataError: a patch or an embedding is not finite or has length 0, so its cosine does not exist.
    """
    raw = torch.from_numpy(patches)
    unit = _directions(raw, "A patch feature is not finite or has length 0, so it has no cosine.", names)
    vector = None
    if vectors is not None:
        embedded = torch.from_numpy(vectors)
        vector = _directions(embedded, "An embedding is not finite or has length 0, so it has no cosine.", names)
    shares = None if landmarks is None else torch.from_numpy(landmarks)
    return UnitPatches(unit, torch.nn.functional.normalize(raw.mean(dim=1), dim=-1), vector, shares)


def _directions(raw: Tensor, problem: str, names: Callable[[int], str]) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(raw, dim=-1, keepdim=True)
    broken = ~((lengths > 0) & lengths.isfinite()).flatten(1).all(dim=1)
    if bool(broken.any()):
        raise DataError(problem, got=names(int(broken.nonzero()[0, 0])))
    return raw / lengths


def less_mean_cells(patches: Floats, means: Floats) -> Floats:
    """Patches (A, K, C) less the mean of each place, float32 (K, C), over training images: what all faces have there.

    One mean for all places would leave in what sets a place apart (an eye is no cheek), and with it cosines of places instead of
    people: on dlib_resnet's cells the weights apc then lose by it (docs/results.md).

    Raises:
        DataError: the patches and their means have different shapes.
    """
    if means.shape != patches.shape[1:]:
        raise DataError("The mean cells are of other patches.", got=means.shape, allowed=patches.shape[1:])
    centred: Floats = patches - means
    return centred


def landmark_shares(landmarks: Floats, grid: Boxes, names: Callable[[int], str] = "image {}".format) -> Floats:
    """Share of an image's landmarks inside each box of a grid (Face-ViT thesis, weights LMK); overlapping boxes share theirs.

    Args:
        landmarks: float32 (A, L, 2), x y in px of the 112x112 crop.
        grid: int64 (K, 4), x y w h px; a box has its left and upper edge, not the right and lower.
        names: what an error calls image number i.

    Returns:
        float32 (A, K); a row is 0 where all landmarks lie outside.

    Raises:
        DataError: a landmark is not finite.
    """
    broken = ~np.isfinite(landmarks).all(axis=(1, 2))
    if broken.any():
        raise DataError("An image's landmarks are not finite.", got=names(int(np.argmax(broken))))
    inside = (landmarks[:, :, None] >= grid[:, :2]) & (landmarks[:, :, None] < grid[:, :2] + grid[:, 2:])
    shares: Floats = inside.all(axis=3).mean(axis=1, dtype=np.float32)
    return shares


def pool_grid(patches: Floats, grid: Boxes) -> Floats:
    """Average the patches over 2x2 neighbours.

    An odd row or column at the bottom or right is averaged over the cells there are: 7x7 gives 4x4, whose last row and
    column are means of two cells and whose last corner is one cell, so that no part of the face is left out.

    Args:
        patches: (B, K, C) in the order of `grid`.
        grid: int64 (K, 4), x y w h px: a full grid of rows and columns, row by row.

    Returns:
        float32 (B, ceil(rows/2)·ceil(columns/2), C).

    Raises:
        DataError: the boxes are no full grid (an RRFNet without its corners, for example).

    METHODS section 7: "the last convolutional map, and its 2x2 average".
    """
    rows, columns = _rows_and_columns(grid)
    maps = torch.from_numpy(patches).transpose(1, 2).reshape(len(patches), -1, rows, columns)
    pooled = torch.nn.functional.avg_pool2d(maps, kernel_size=2, ceil_mode=True, count_include_pad=False)
    return np.ascontiguousarray(pooled.flatten(2).transpose(1, 2).numpy())


def pooled_boxes(grid: Boxes) -> Boxes:
    """The boxes of pool_grid's averages, int64 (K', 4): each spans those of its cells; raises likewise."""
    rows, columns = _rows_and_columns(grid)
    corners = np.concatenate([grid[:, :2], grid[:, :2] + grid[:, 2:]], axis=1).reshape(rows, columns, 4)
    cells = [corners[y : y + 2, x : x + 2].reshape(-1, 4) for y in range(0, rows, 2) for x in range(0, columns, 2)]
    first, last = np.stack([cell[:, :2].min(axis=0) for cell in cells]), [cell[:, 2:].max(axis=0) for cell in cells]
    return np.concatenate([first, np.stack(last) - first], axis=1)


def _rows_and_columns(grid: Boxes) -> tuple[int, int]:
    xs, ys = np.unique(grid[:, 0]), np.unique(grid[:, 1])
    full = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    if not np.array_equal(full, grid[:, :2]):
        got = f"{len(grid)} patches at {len(xs)} columns and {len(ys)} rows"
        raise DataError("Only a full patch grid can be averaged 2x2.", got=got, allowed="pool: 1 for this network")
    return len(ys), len(xs)
