"""The cosine of two mean features as an exact sum over pairs of patches, over patches, and over pixels.

Order of use: `contribution_matrix` (pairs of patches), `patch_contributions` (patches of each image), `pixel_map`
(pixels). All three are computed in float64: the arrays are tiny, and the sums are then the cosine to about 1e-15.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX


def contribution_matrix(f_a: npt.NDArray[Any], f_b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Split the cosine of two mean features into one term for each pair of patches.

    M[i, j] = f_i^A · f_j^B / (K² ‖F^A‖ ‖F^B‖),  F = mean_i f_i,  Σ_ij M[i, j] = cos(F^A, F^B).

    Args:
        f_a: patch features of image A, (K, D), any float type, not normalised.
        f_b: patch features of image B, (K, D), of the same network. If both hold features summed with those of the
            mirrored image (embedding.extract), the terms sum to the cosine of the embeddings so summed.

    Returns:
        (K, K) float64; row = patch of A, column = patch of B. A term may be negative: that pair speaks against a match.

    Raises:
        DataError: other shapes, a value that is not finite, or a mean feature of length 0 (its cosine does not exist).

    RRFNet, eq. 8. The paper cancels the mean's 1/K² against the norms; here it stays: F is then the embedding itself.
    """
    for name, features in (("A", f_a), ("B", f_b)):
        if features.ndim != 2 or features.shape != f_a.shape or features.shape[0] == 0:
            raise DataError(
                "Patch features of a pair must have one shape.",
                got=f"A {f_a.shape}, B {f_b.shape}",
                allowed="(K, D) for both, K >= 1",
            )
        if not np.isfinite(features).all():
            raise DataError("Patch features hold a value that is not finite.", got=f"image {name} of the pair")
    a, b = f_a.astype(np.float64), f_b.astype(np.float64)
    norms = float(np.linalg.norm(a.mean(axis=0)) * np.linalg.norm(b.mean(axis=0)))
    if norms == 0.0:
        raise DataError("A mean patch feature has length 0, so the pair has no cosine.", got="F^A or F^B = 0")
    terms: npt.NDArray[np.float64] = a @ b.T / (len(a) ** 2 * norms)
    return terms


def patch_contributions(terms: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum the terms of `contribution_matrix` for each patch of A and for each patch of B.

    c_i^A = Σ_j M[i, j],  c_j^B = Σ_i M[i, j],  Σ_i c_i^A = Σ_j c_j^B = cos.

    Args:
        terms: (K, K) from `contribution_matrix`.

    Returns:
        (c_a, c_b), each (K,) float64.

    RRFNet, eq. 8; METHODS section 4.
    """
    return terms.sum(axis=1), terms.sum(axis=0)


def pixel_map(
    contributions: npt.NDArray[np.float64], boxes: npt.NDArray[np.int64], size: int = FACE_PX
) -> npt.NDArray[np.float64]:
    """Spread each patch's contribution evenly over its pixels; overlapping patches add.

    map[y, x] = Σ over the patches i that hold (x, y) of c_i / (w_i h_i), so the map sums to Σ_i c_i = cos.

    Args:
        contributions: (K,), the c_a or c_b of `patch_contributions`.
        boxes: (K, 4) x y w h in pixels of the aligned image (`FaceNetwork.grid`).
        size: side of the aligned image, px.

    Returns:
        (size, size) float64. Pixels that no patch holds are 0: an RRFNet never saw them. (A BagNet's boxes are its cells'
        shares of the image; what a cell saw reaches further.)

    Raises:
        DataError: the numbers of contributions and boxes differ, or a box is empty or leaves the image.
    """
    if boxes.shape != (*contributions.shape, 4):
        raise DataError(
            "Each contribution needs one box.",
            got=f"{contributions.shape} contributions, {boxes.shape} boxes",
            allowed="(K,), (K, 4)",
        )
    saliency = np.zeros((size, size), dtype=np.float64)
    for contribution, (x, y, w, h) in zip(contributions, boxes.tolist(), strict=True):
        if min(x, y) < 0 or min(w, h) < 1 or x + w > size or y + h > size:
            raise DataError(
                "A patch leaves the image.", got=f"x {x}, y {y}, w {w}, h {h}", allowed=f"inside 0..{size} px"
            )
        saliency[y : y + h, x : x + w] += contribution / (w * h)
    return saliency
