"""FFP2 masks: folded flat or of three panels, in any colour, smooth, embossed or printed."""

import colorsys

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.occlusion.canvas import Canvas, Colour, Plane, ribbon, smooth_line
from pipeline_lib.data.occlusion.frame import FaceFrame
from pipeline_lib.data.occlusion.light import grain, pixel_grid, wrinkles
from pipeline_lib.data.occlusion.mask_parts import (
    STRAP_WHITE,
    bridge,
    cloth_light,
    mask_outline,
    pick,
    printed,
    rim,
    strap,
    times,
)

# What is sold most; any other colour comes beside them (drawn_colour).
COLOURS: tuple[Colour, ...] = (
    (238, 240, 240),
    (236, 232, 222),
    (30, 30, 33),
    (116, 120, 126),
    (40, 56, 104),
    (150, 190, 222),
    (236, 180, 196),
    (196, 170, 210),
    (168, 204, 178),
    (70, 92, 72),
    (150, 40, 52),
    (206, 178, 150),
    (236, 200, 110),
    (64, 140, 148),
)
ANY_COLOUR_SHARE = 0.3
SURFACES = ("smooth", "embossed", "dimpled", "striped", "dotted", "checked", "marbled")
PRINTS = {"striped": "stripes", "dotted": "dots", "checked": "checks"}
SHAPES = ("folded", "panels")

# See face_mask: half outlines, (a, p) of the face frame. A folded mask stands out before the nose and runs to the ears in a
# point; one of three panels is broad, with a tab below the chin.
HALF_OUTLINES = {
    "folded": (
        (0, 0.16),
        (0.2, 0.26),
        (0.5, 0.42),
        (0.84, 0.56),
        (0.94, 0.74),
        (0.86, 1.1),
        (0.62, 1.44),
        (0.28, 1.68),
    ),
    "panels": (
        (0, 0.22),
        (0.26, 0.28),
        (0.62, 0.46),
        (0.92, 0.62),
        (0.95, 0.9),
        (0.84, 1.2),
        (0.6, 1.54),
        (0.26, 1.76),
    ),
}


def draw_ffp2(canvas: Canvas, frame: FaceFrame, light: Plane, rng: np.random.Generator) -> dict[str, object]:
    """Draw one: see face_mask.draw_face_mask. Returns its style, shape and surface."""
    colour = drawn_colour(rng)
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    surface = SURFACES[int(rng.choice(len(SURFACES), p=[0.28, 0.18, 0.12, 0.1, 0.1, 0.1, 0.12]))]
    loops = (STRAP_WHITE, (40, 40, 42), times(colour, 0.85))[int(rng.integers(3))]
    for side in (-1, 1):
        strap(canvas, frame, light, [(0.88, 0.62), (1.06, 0.34), (1.20, 0.16)], side, 1.9, loops)
        strap(canvas, frame, light, [(0.86, 1.06), (1.06, 0.88), (1.20, 0.48)], side, 1.9, loops)
    outline = mask_outline(frame, HALF_OUTLINES[shape], rng)
    texture = _bent(frame, light, shape, rng)[:, :, None] * _surface(frame, light.shape, surface, rng)
    body = canvas.paint("mask", outline, colour, texture=texture)
    rim(canvas, outline, body, light, 2.2)
    middle = bridge(frame)
    if shape == "folded":
        fold = smooth_line(
            frame.to_image([(middle, 0.16), (1.2 * middle, 0.6), (1.1 * middle, 1.05), (0.6 * middle, 1.7)])
        )
        canvas.paint("fold", ribbon(fold, 1.4), times(colour, 0.7), texture=light, opacity=0.55, within=body)
        lit = fold + np.float32(1.3) * frame.across.astype(np.float32)
        canvas.paint("fold_light", ribbon(lit, 1.0), times(colour, 1.25), texture=light, opacity=0.4, within=body)
    else:
        for level, sag in ((0.62, -0.1), (1.2, 0.12)):
            line = [(a + middle * (1 - a * a), level + sag * (1 - a * a)) for a in np.linspace(-0.96, 0.96, 7)]
            seam = smooth_line(frame.to_image(line))
            canvas.paint("seam", ribbon(seam, 1.5), times(colour, 0.62), texture=light, opacity=0.6, within=body)
    _welds(canvas, frame, light, body, colour)
    if rng.random() < 0.5:
        clip = smooth_line(frame.to_image([(middle + a, 0.3 + 0.42 * abs(a)) for a in np.linspace(-0.26, 0.26, 5)]))
        canvas.paint("clip", ribbon(clip, 1.8), times(colour, 0.78), texture=light, opacity=0.7, within=body)
    return {"style": "ffp2", "shape": shape, "surface": surface}


def drawn_colour(rng: np.random.Generator) -> Colour:
    """One of COLOURS, a little off, or with ANY_COLOUR_SHARE of any hue."""
    if rng.random() >= ANY_COLOUR_SHARE:
        return pick(rng, COLOURS)
    red, green, blue = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.15, 0.85), rng.uniform(0.25, 0.95))
    return round(255 * red), round(255 * green), round(255 * blue)


def _bent(frame: FaceFrame, light: Plane, shape: str, rng: np.random.Generator) -> Plane:
    """Light on two flat halves that meet in a ridge before the nose, or on a sheet round the face."""
    creased = cloth_light(frame, light, bulge=0.26, rng=rng) * wrinkles(rng, light.shape, 7, 0.03)
    if shape == "panels":
        return creased.astype(np.float32)
    a = frame.to_face(pixel_grid(light.shape))[..., 0] - bridge(frame)
    side = rng.choice([-1.0, 1.0]) * rng.uniform(0.05, 0.14)
    ridge: Plane = (creased * (1.0 + side * np.tanh(12 * a))).astype(np.float32)
    return ridge


def _surface(
    frame: FaceFrame, shape: tuple[int, int], surface: str, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """What is on the cloth, as a factor on its colour: (H, W, 3)."""
    factor = grain(rng, shape, 0.014)[:, :, None]
    a, p = np.moveaxis(frame.to_face(pixel_grid(shape)), -1, 0)
    if surface in PRINTS:
        factor = factor * printed(frame, shape, PRINTS[surface], rng)
    elif surface == "embossed":  # crossed lines, pressed in
        pitch = rng.uniform(0.1, 0.16)
        lines = np.cos(2 * np.pi * (a + p) / pitch), np.cos(2 * np.pi * (a - p) / pitch)
        factor = factor * (1 - 0.07 * np.maximum(*lines))[:, :, None]
    elif surface == "dimpled":
        pitch = rng.uniform(0.1, 0.14)
        factor = factor * (1 - 0.08 * np.cos(2 * np.pi * a / pitch) * np.cos(2 * np.pi * p / pitch))[:, :, None]
    elif surface == "marbled":  # two tones that run into each other
        waves = wrinkles(rng, shape, int(rng.integers(6, 14)), 1.0) - 1
        tint = rng.uniform(0.5, 1.6, 3)
        factor = factor * (1 + (0.5 + 0.5 * np.tanh(2.5 * waves))[:, :, None] * (tint - 1))
    return np.asarray(np.broadcast_to(factor, (*shape, 3)), np.float32)


def _welds(canvas: Canvas, frame: FaceFrame, light: Plane, body: Plane, colour: Colour) -> None:
    """The pressed line a little inside the edge of both cheeks."""
    for side in (-1, 1):
        line = smooth_line(
            frame.to_image([(side * 0.82, 0.56), (side * 0.86, 0.8), (side * 0.76, 1.14), (side * 0.52, 1.5)])
        )
        canvas.paint("weld", ribbon(line, 1.0), times(colour, 0.72), texture=light, opacity=0.45, within=body)
