"""A random part of an aligned image, enlarged to the whole: a face too near and out of place."""

import cv2
import numpy as np
import numpy.typing as npt


def random_crop(
    image: npt.NDArray[np.uint8], share: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    """Cut a random square and scale it back to the image's size (DeepFace-EMD thesis, section 5.2.1: 70 %).

    The share is one of the side, as in the thesis's pictures; the square's place is uniform over whole pixels.

    Args:
        image: uint8 RGB (S, S, 3).
        share: side of the square over S, in (0, 1]; 1 leaves the image as it is.
        rng: decides the place.

    Returns:
        uint8 (S, S, 3) and {"box": [x0, y0, x1, y1]}, pixels of the image, x1 and y1 outside.
    """
    size = image.shape[0]
    side = max(1, round(share * size))
    x0, y0 = (int(value) for value in rng.integers(0, size - side + 1, 2))
    part = image[y0 : y0 + side, x0 : x0 + side]
    enlarged = cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC)
    return enlarged.astype(np.uint8), {"box": [x0, y0, x0 + side, y0 + side]}


def crop_landmarks(landmarks: npt.ArrayLike, box: list[int], size_px: int) -> npt.NDArray[np.float32]:
    """Where landmarks (5, 2) of the whole image lie in the enlarged crop; outside 0..size_px if they were cut off.

    x' = (x - x0 + 0.5) size / (x1 - x0) - 0.5        (centres of pixels at whole numbers)
    """
    x0, y0, x1, _ = box
    points = np.asarray(landmarks, np.float64)
    return ((points - (x0, y0) + 0.5) * (size_px / (x1 - x0)) - 0.5).astype(np.float32)
