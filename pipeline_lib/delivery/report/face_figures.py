"""How bright, sharp and turned aligned faces are: what a data card says of a set's photographs."""

import cv2
import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

# A mean head, in units of the distance of its eyes: how far the tip of the nose stands before the plane of the eyes.
NOSE_DEPTH = 0.51


def brightness(image: npt.NDArray[np.uint8]) -> float:
    """Mean luminance of an aligned face, uint8 RGB (112, 112, 3): 0..255."""
    return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean())


def sharpness(image: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the luminance (Pech-Pacheco et al., ICPR 2000): 0 for a plain image.

    A photograph out of focus, compressed hard, or of a face much smaller than 112 px has a low one; noise has a high one.

    Args:
        image: uint8 RGB (112, 112, 3).
    """
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def yaw_deg(landmarks: npt.ArrayLike) -> Doubles:
    """About how far heads are turned, in degrees: positive with the nose towards the picture's right.

        yaw = atan(x_nose / (NOSE_DEPTH |eyes|))

    with x_nose the nose's offset from between the eyes, along their line: under a turn of a rigid head by yaw it is
    NOSE_DEPTH sin(yaw), and the eyes' distance cos(yaw), in units of the latter from the front. Heads differ from the mean one,
    and a detector's landmarks are less sure the more a head is turned: it tells frontal from half profile, not 20 from 25.

    Args:
        landmarks: (N, 5, 2) px; the eyes first, then the nose.

    Returns:
        float64 (N,), NaN where the eyes coincide.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    eyes = points[:, 1] - points[:, 0]
    squared = (eyes**2).sum(axis=1)
    offset = ((points[:, 2] - points[:, :2].mean(axis=1)) * eyes).sum(axis=1)
    share = np.divide(offset, squared, out=np.full(len(points), np.nan), where=squared > 0)
    return np.asarray(np.degrees(np.arctan(share / NOSE_DEPTH)), np.float64)
