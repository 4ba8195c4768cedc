"""Large photographs are shrunk before detection; what is found is scaled back."""

import cv2
import numpy as np
import numpy.typing as npt

Scale = npt.NDArray[np.float32]


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
