"""Five-point alignment: the similarity transform onto the 112x112 template, and the warp."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX, TEMPLATE


def similarity_transform(src: npt.NDArray[np.floating], dst: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Least-squares similarity (rotation, one scale, shift; no shear, no reflection) from `src` to `dst`.

        minimise Σ_i |s R src_i + t - dst_i|²,  R = [[cos θ, -sin θ], [sin θ, cos θ]],  s > 0

    In the plane the optimum of Umeyama (1991) needs no singular value decomposition: with both sets centred and read
    as complex numbers p_i, q_i, the transform is q = c p with c = Σ conj(p_i) q_i / Σ |p_i|² = s exp(iθ).
    Multiplication by a complex number cannot reflect, so Umeyama's sign rule is built in.

    Args:
        src, dst: (N, 2), N >= 2, px.

    Returns:
        (2, 3) float64 [s R | t], as cv2.warpAffine takes it.

    Raises:
        DataError: a shape is wrong, a coordinate is not finite, or the points of one set coincide.
    """
    if src.shape != dst.shape or src.ndim != 2 or src.shape[1] != 2 or len(src) < 2:
        raise DataError(
            "Landmarks have the wrong shape.", got=f"{src.shape} and {dst.shape}", allowed="(N, 2) twice, N >= 2"
        )
    p, q = (points[:, 0].astype(np.float64) + 1j * points[:, 1].astype(np.float64) for points in (src, dst))
    p_mean, q_mean = p.mean(), q.mean()
    spread = float((np.abs(p - p_mean) ** 2).sum())
    c = complex((np.conj(p - p_mean) * (q - q_mean)).sum() / spread) if spread > 0.0 else complex("nan")
    if not np.isfinite(c) or c == 0:
        raise DataError("Landmarks that coincide or are not finite fix no transform.", got=src.tolist())
    t = q_mean - c * p_mean
    return np.array([[c.real, -c.imag, t.real], [c.imag, c.real, t.imag]], dtype=np.float64)


def transform_points(matrix: npt.NDArray[np.float64], points: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Apply a (2, 3) affine matrix to points (N, 2); float32 (N, 2)."""
    return (points.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def align_face(
    image: npt.NDArray[np.uint8], landmarks: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Warp a face onto the template; what lies outside the photograph is black.

    The warp is bilinear, which reads four pixels for one of the output. A face shrunk by more than half would
    therefore be sampled with gaps (aliasing): such a photograph is first shrunk by area averaging (cv2.INTER_AREA) by
    the whole factor that leaves a scale in (1/2, 1]. Faces less than twice the template's size skip that step.

    Args:
        image: uint8 RGB (H, W, 3).
        landmarks: (5, 2) px of `image`, in the order of TEMPLATE; pixel (0, 0) has its centre at (0, 0).

    Returns:
        aligned: uint8 RGB (112, 112, 3).
        landmarks in the aligned image: float32 (5, 2) px.

    Raises:
        DataError: see similarity_transform.
    """
    points = landmarks.astype(np.float64)
    scale = float(np.hypot(*similarity_transform(points, TEMPLATE)[:, 0]))
    shrink = int(1.0 / scale)
    if shrink >= 2:
        height, width = image.shape[:2]
        small = cv2.resize(image, (-(-width // shrink), -(-height // shrink)), interpolation=cv2.INTER_AREA)
        image = np.asarray(small, dtype=np.uint8)
        # Pixel centres: x + 1/2 is what scales, not x.
        points = (points + 0.5) * (image.shape[1] / width, image.shape[0] / height) - 0.5
    matrix = similarity_transform(points, TEMPLATE)
    aligned = cv2.warpAffine(
        image,
        matrix,
        (FACE_PX, FACE_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0, 0, 0),
    )
    return np.asarray(aligned, dtype=np.uint8), transform_points(matrix, points)
