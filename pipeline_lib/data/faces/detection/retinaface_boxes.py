"""Anchors of RetinaFace, the decoding of its outputs against them, and non-maximum suppression."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.faces.detection.retinaface_network import STRIDES

Floats = npt.NDArray[np.float32]
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


@lru_cache(maxsize=64)
def anchors(height: int, width: int, anchor_px: tuple[tuple[int, int], ...]) -> Floats:
    """Centre and side of every anchor, in the order of the network's outputs.

        centre of cell (row i, column j) at stride s: ((j + 1/2) s, (i + 1/2) s)

    Args:
        height, width: of the network's input, px; a map has ceil(side / stride) cells along a side.
        anchor_px: the sides of the two square anchors at strides 8, 16, 32, px.

    Returns:
        float32 (A, 3): centre x, centre y, side, px; read-only, since it is shared.
    """
    levels = []
    for stride, sides in zip(STRIDES, anchor_px, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, side = np.meshgrid(
            (np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, np.array(sides), indexing="ij"
        )
        levels.append(np.stack([x.ravel(), y.ravel(), side.ravel()], axis=1))
    table = np.concatenate(levels).astype(np.float32)
    table.setflags(write=False)
    return table


def decode_boxes(offsets: Floats, table: Floats) -> Floats:
    """Boxes from the network's offsets (Liu et al. 2016, SSD, with variances 0.1 and 0.2).

        centre = anchor centre + 0.1 * offset_xy * anchor side,   size = anchor side * exp(0.2 * offset_wh)

    Args:
        offsets: float32 (N, 4).
        table: the same N rows of `anchors`, (N, 3).

    Returns:
        float32 (N, 4): x0 y0 x1 y1, px, not clipped to the picture; not finite where an offset or a side is not.
    """
    side = table[:, 2:]
    with np.errstate(over="ignore", invalid="ignore"):  # decode_faces looks at the outcome
        centre = table[:, :2] + CENTRE_VARIANCE * offsets[:, :2] * side
        half = side * np.exp(SIZE_VARIANCE * offsets[:, 2:]) / 2.0
        return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def decode_landmarks(offsets: Floats, table: Floats) -> Floats:
    """Landmarks from the network's offsets: point = anchor centre + 0.1 * offset * anchor side.

    Args:
        offsets: float32 (N, 10), x y of each point in turn.
        table: the same N rows of `anchors`, (N, 3).

    Returns:
        float32 (N, 5, 2), px.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        points = table[:, None, :2] + CENTRE_VARIANCE * offsets.reshape(-1, 5, 2) * table[:, None, 2:]
    return points.astype(np.float32)


def non_maximum_suppression(
    boxes: Floats, scores: Floats, max_iou: float, images: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """Greedy suppression: by falling score, keep a box if it overlaps no kept one of its picture by more than `max_iou`.

        IoU(a, b) = area(a ∩ b) / area(a ∪ b);   0 where both areas are 0

    All pictures at once: a pass keeps the best box that is left of each of them. O(most kept of a picture * N) time, O(N) memory.

    Args:
        boxes: (N, 4), x0 y0 x1 y1.
        scores: (N,); equal scores keep their order.
        max_iou: in [0, 1]; a pair exactly at it both stay.
        images: (N,), which picture a box is of; None where all are of one.

    Returns:
        int64: indices of the kept boxes, by picture, then by falling score.
    """
    of = np.zeros(len(boxes), np.int64) if images is None else images
    order = np.lexsort((-scores, of))
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept = [order[:0]]
    while len(order):
        is_best = np.diff(of[order], prepend=-1) > 0
        best = order[is_best]
        kept.append(best)
        best, order = best[np.cumsum(is_best)[~is_best] - 1], order[~is_best]
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        overlap = np.prod(np.maximum(high - low, 0.0), axis=1)
        # A product instead of a quotient: boxes without area need no special case.
        order = order[overlap <= max_iou * (areas[best] + areas[order] - overlap)]
    all_kept = np.concatenate(kept)
    return all_kept[np.argsort(of[all_kept], kind="stable")]
