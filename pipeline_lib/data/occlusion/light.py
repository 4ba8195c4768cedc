"""The photograph's own light, so that what is drawn is neither a lamp in a dark room nor a hole in a bright one."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.occlusion.frame import FaceFrame

Plane = npt.NDArray[np.float32]

BRIGHT_FACE = 165.0  # luminance of a well exposed face, 0..255: drawn colours are meant for it
SOFTNESS_PX = 11.0


def scene_light(image: npt.NDArray[np.uint8], frame: FaceFrame) -> Plane:
    """Brightness at each pixel relative to a well exposed face, without the face's details.

        light = exposure * (blur(Y) / mean)^0.6,  exposure = clip(mean / BRIGHT_FACE, 0.35, 1.1)^0.8

    with Y the luminance, its blur of SOFTNESS_PX, and the mean over the face's inside.

    Args:
        image: uint8 RGB (H, W, 3).
        frame: of the face in it.

    Returns:
        float32 (H, W), about 0.3..1.4.
    """
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    a, p = np.moveaxis(frame.to_face(pixel_grid(image.shape[:2])), -1, 0)
    inside = (np.abs(a) < 0.75) & (p > 0.1) & (p < 1.4)
    mean = max(float(luminance[inside].mean()) if inside.any() else float(luminance.mean()), 1.0)
    blurred = cv2.GaussianBlur(luminance, (0, 0), SOFTNESS_PX, borderType=cv2.BORDER_REPLICATE)
    exposure = float(np.clip(mean / BRIGHT_FACE, 0.35, 1.1)) ** 0.8
    light: Plane = (exposure * np.clip(blurred / mean, 0.45, 1.5) ** 0.6).astype(np.float32)
    return light


def pixel_grid(shape: tuple[int, int]) -> Plane:
    """(H, W, 2) of each pixel's (x, y)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.stack([x, y], axis=-1)


def wrinkles(rng: np.random.Generator, shape: tuple[int, int], cells: int, strength: float) -> Plane:
    """A smooth random factor around 1, `cells` bumps across the image: float32 (H, W)."""
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    smooth: Plane = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return 1 + np.float32(strength) * smooth


def grain(rng: np.random.Generator, shape: tuple[int, int], strength: float) -> Plane:
    """Fine random factor around 1, as of cloth and film: float32 (H, W)."""
    return 1 + np.float32(strength) * rng.standard_normal(shape).astype(np.float32)
