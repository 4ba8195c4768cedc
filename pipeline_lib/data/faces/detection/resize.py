"""Photographs are shrunk or enlarged before detection, as the smallest face that counts demands; what is found is scaled back."""

import math

import cv2
import numpy as np
import numpy.typing as npt

Scale = npt.NDArray[np.float32]


def searched_side_px(longest_px: int, usual_px: int, smallest_face_px: int, min_face_px: int) -> int:
    """To which longest side a photograph may be shrunk: `usual_px`, or more where faces that count would become too small.

        max(usual, ceil(longest * smallest_face / min_face))

    Args:
        longest_px: of the photograph.
        usual_px: what the detector shrinks to where nothing speaks against it.
        smallest_face_px: the smallest face that the detector sees.
        min_face_px: the smallest face of the photograph that must be found.

    Returns:
        px; above longest_px where the photograph must not be shrunk.
    """
    return max(usual_px, math.ceil(longest_px * smallest_face_px / min_face_px))


def limit_longest_side(image: npt.NDArray[np.uint8], longest_px: int) -> tuple[npt.NDArray[np.uint8], Scale]:
    """Shrink an image by area averaging until its longest side is `longest_px`; a smaller one is returned as it is.

    Args:
        image: uint8 (H, W, 3).
        longest_px: px.

    Returns:
        image: uint8 (h, w, 3), h and w rounded, at least 1.
        scale: float32 (2,), (W/w, H/h): x and y found in the small image times this are those of the given one.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest <= longest_px:
        return image, np.ones(2, dtype=np.float32)
    small_width, small_height = (max(1, round(side * longest_px / longest)) for side in (width, height))
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), np.array([width / small_width, height / small_height], dtype=np.float32)


def enlarge(image: npt.NDArray[np.uint8], factor: float) -> tuple[npt.NDArray[np.uint8], Scale]:
    """Enlarge an image, bilinearly.

    Args:
        image: uint8 (H, W, 3).
        factor: above 1; the sides are rounded down, so that nothing comes out smaller than 1/factor of what is found.

    Returns:
        See limit_longest_side.
    """
    height, width = image.shape[:2]
    large_width, large_height = (int(side * factor) for side in (width, height))
    large = cv2.resize(image, (large_width, large_height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, dtype=np.uint8), np.array([width / large_width, height / large_height], dtype=np.float32)
