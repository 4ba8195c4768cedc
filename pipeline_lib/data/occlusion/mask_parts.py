"""What masks of all kinds are made of: outlines that follow the nose, straps, rims, prints and the light on cloth."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.occlusion.canvas import Canvas, Colour, Plane, Points, ribbon, smooth_line, smooth_outline
from pipeline_lib.data.occlusion.frame import FaceFrame
from pipeline_lib.data.occlusion.light import pixel_grid

STRAP_WHITE: Colour = (236, 236, 234)
NOSE_ROOM = 0.14  # how far inside the outline the tip of the nose lies at least, in half widths of the face


def mask_outline(frame: FaceFrame, half: Sequence[tuple[float, float]], rng: np.random.Generator) -> Points:
    """Both halves of an outline, a little different each time, its top following the nose, pushed no higher than drawn."""
    wide, long = rng.uniform(0.97, 1.05), rng.uniform(0.97, 1.05)
    right = np.array(half, np.float64)
    right[1:] += rng.uniform(-0.015, 0.015, (len(half) - 1, 2))
    left = right[:0:-1] * (-1.0, 1.0)
    chin = np.array([[0.0, right[-1, 1] + 0.06]])
    corners = np.concatenate([right, chin, left])
    upper = np.clip((0.8 - corners[:, 1]) / 0.5, 0.0, 1.0)
    corners[:, 0] = corners[:, 0] * wide + bridge(frame) * upper * np.clip(1 - np.abs(corners[:, 0]), 0.0, 1.0)
    corners[:, 1] = np.where(corners[:, 1] > 1, 1 + (corners[:, 1] - 1) * long, corners[:, 1])
    return smooth_outline(frame.to_image(_over_the_nose(corners, frame)))


def _over_the_nose(corners: npt.NDArray[np.float64], frame: FaceFrame) -> npt.NDArray[np.float64]:
    """Widen the half of an outline, (N, 2) of (a, p), that a nose in profile would stick out of."""
    a, p = frame.nose
    half = corners[corners[:, 0] * a > 0]
    half = half[np.argsort(half[:, 1])]
    if not len(half):
        return corners
    reach = float(np.interp(p, half[:, 1], np.abs(half[:, 0])))
    stretch = np.clip((abs(a) + NOSE_ROOM) / max(reach, 0.1), 1.0, 2.0)
    return np.where(corners[:, :1] * a > 0, corners * (stretch, 1.0), corners)


def strap(
    canvas: Canvas,
    frame: FaceFrame,
    light: Plane,
    path: Sequence[tuple[float, float]],
    side: int,
    width_px: float,
    colour: Colour,
) -> None:
    """A loop or band on the side -1 or 1, if that side is seen at all."""
    if not frame.shows(max(side, 0)):
        return
    line = smooth_line(frame.to_image([(side * a, p) for a, p in path]))
    canvas.paint("strap", ribbon(line, width_px * frame.scale_px / 35.0), colour, texture=0.9 * light)


def rim(canvas: Canvas, outline: Points, body: Plane, light: Plane, width_px: float) -> None:
    """The darker border that makes the mask stand off the skin."""
    closed = np.concatenate([outline, outline[:1]])
    canvas.paint("rim", ribbon(closed, width_px), (30, 30, 34), texture=light, opacity=0.22, within=body)


def cloth_light(frame: FaceFrame, light: Plane, *, bulge: float, rng: np.random.Generator) -> Plane:
    """Light on a sheet that is bent round the face: darker towards the sides and under the chin."""
    a, p = np.moveaxis(frame.to_face(pixel_grid(light.shape)), -1, 0)
    bent = 1.06 - bulge * (a - bridge(frame)) ** 2 - 0.16 * np.clip(p - 1.1, 0, None) + rng.uniform(-0.1, 0.1) * a
    shaded: Plane = (light * np.clip(bent, 0.4, 1.25)).astype(np.float32)
    return shaded


def printed(
    frame: FaceFrame, shape: tuple[int, int], pattern: str, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """A printed pattern as a factor on the cloth's colour: (H, W, 3)."""
    a, p = np.moveaxis(frame.to_face(pixel_grid(shape)), -1, 0)
    x, y = a * 1.1, p  # about equal lengths
    pitch = rng.uniform(0.2, 0.32)
    tint = rng.choice([rng.uniform(0.45, 0.75), rng.uniform(1.3, 1.9)]) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if pattern == "stripes":
        angle = rng.uniform(0, np.pi)
        ink = 0.5 + 0.5 * np.tanh(4 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / pitch))
    elif pattern == "dots":
        ink = 0.5 + 0.5 * np.tanh(6 * (np.cos(2 * np.pi * x / pitch) * np.cos(2 * np.pi * y / pitch) - 0.45))
    elif pattern == "checks":
        ink = 0.25 * (2 + np.sign(np.sin(2 * np.pi * x / pitch)) + np.sign(np.sin(2 * np.pi * y / pitch)))
    else:
        ink = np.zeros(shape)
    factor: npt.NDArray[np.float32] = (1 + ink[:, :, None] * (tint - 1)).astype(np.float32)
    return factor


def bridge(frame: FaceFrame) -> float:
    """Where the top of a mask lies across the face: between the midline and the nose, which a turn moves off it."""
    return 0.6 * frame.nose[0]


def pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    base = colours[int(rng.integers(len(colours)))]
    red, green, blue = (int(np.clip(value + rng.integers(-10, 11), 0, 255)) for value in base)
    return red, green, blue


def times(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue
