"""Pictures of a transport between two faces: what each cell of the query found in the other, and what each cell weighed."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.why.explanation.shared.cell_map import cell_map
from pipeline_lib.why.explanation.shared.pictures import heatmap_overlay

Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.int64]
Values = npt.NDArray[np.floating[Any]]
# Of the largest flow: what float32 leaves of flows that are equal. Stretched to 0..1 it would be drawn as a pattern.
ROUNDING = 1e-5


def flow_picture(query_face: Image, gallery_face: Image, plan: Values, grid_q: Boxes, grid_g: Boxes) -> Image:
    """Put the query together from the gallery face's cells, each where the most flow reaches it (DeepFace-EMD, section 3.2).

        k(i) = argmax_j T_ij,   f_i = T_i,k(i),   brightness of cell i = (f_i - min f) / (max f - min f)        (eq. 3.9)

    The cell of least flow is thus black, whatever its flow is. Where all flows are equal eq. 3.9 is 0/0, and every cell has its
    full brightness. Of equal flows of one cell the first is shown. A cell of another size is resampled to the query cell's;
    where the query's cells overlap (an RRFNet's), a pixel is the mean of them, and where there is none it is black.

    Args:
        query_face, gallery_face: uint8 (112, 112, 3) RGB, aligned. Of the query only the places of the cells are used.
        plan: float (N, M), >= 0, the mass that query cell i sends to gallery cell j (emd.sinkhorn.transport).
        grid_q: int64 (N, 4), x y w h px, each box inside the image and not empty.
        grid_g: int64 (M, 4), likewise.

    Returns:
        uint8 (112, 112, 3) RGB.

    Raises:
        DataError: faces, plan and grids do not fit together, or the plan is not finite, has a negative mass or none at all.
    """
    _check_face(query_face)
    _check_face(gallery_face)
    if plan.shape != (len(grid_q), len(grid_g)):
        raise DataError("A plan has not its grids' size.", got=plan.shape, allowed=(len(grid_q), len(grid_g)))
    if not (np.isfinite(plan).all() and plan.size and plan.min() >= 0 and plan.max() > 0):
        raise DataError("A plan cannot be drawn.", allowed="finite masses >= 0, one above 0")
    nearest, brightness = plan.argmax(axis=1), _brightness(plan.max(axis=1))
    total = np.zeros((FACE_PX, FACE_PX, 3))
    num = np.zeros((FACE_PX, FACE_PX, 1))
    for (x, y, w, h), k, light in zip(grid_q.tolist(), nearest.tolist(), brightness.tolist(), strict=True):
        left, top, width, height = grid_g[k].tolist()
        cell = gallery_face[top : top + height, left : left + width]
        total[y : y + h, x : x + w] += light * cv2.resize(cell, (w, h), interpolation=cv2.INTER_AREA).astype(np.float64)
        num[y : y + h, x : x + w] += 1
    picture: Image = np.rint(total / np.maximum(num, 1)).astype(np.uint8)
    return picture


def weight_picture(face: Image, weights: Values, grid: Boxes) -> Image:
    """Lay the weights of a face's cells over it (the heat maps of Fig. 3.4): grey an equal share 1/N, orange more, purple less.

        value of cell i = N w_i - 1, drawn from -1 (full purple: no weight) to 1 (full orange: twice an equal share or more)

    so pictures of any two faces and of any two ways of weighing are on one scale, and uniform weights give the bare grey
    face. The paper's colours run from blue, 0, to red, 1, of each picture's own largest weight.

    Args:
        face: uint8 (112, 112, 3) RGB, aligned.
        weights: float (N,), >= 0, summing to 1 (emd.weights.patch_weights).
        grid: int64 (N, 4), x y w h px, inside the image.

    Returns:
        uint8 (112, 112, 3) RGB.

    Raises:
        DataError: face, weights and grid do not fit together, or a weight is not finite.
    """
    _check_face(face)
    if weights.shape != grid.shape[:1]:
        raise DataError("Weights have not their grid's size.", got=weights.shape, allowed=grid.shape[:1])
    return heatmap_overlay(face, cell_map(len(weights) * weights - 1.0, grid), 1.0)


def _brightness(flows: Values) -> Values:
    """Eq. 3.9; 1 where all are equal."""
    least, most = flows.min(), flows.max()
    if most - least <= ROUNDING * most:
        return np.ones_like(flows)
    share: Values = (flows - least) / (most - least)
    return share


def _check_face(face: Image) -> None:
    if face.shape != (FACE_PX, FACE_PX, 3) or face.dtype != np.uint8:
        allowed = f"uint8 ({FACE_PX}, {FACE_PX}, 3)"
        raise DataError("A face is no aligned one.", got=f"{face.dtype} {face.shape}", allowed=allowed)
