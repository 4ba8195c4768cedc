"""Face masks of four kinds, drawn from five landmarks: surgical, cloth, N95 here, FFP2 in a file of its own."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.occlusion.canvas import Canvas, Colour, Plane, ribbon, smooth_line
from pipeline_lib.data.occlusion.ffp2 import draw_ffp2
from pipeline_lib.data.occlusion.frame import FaceFrame, face_frame
from pipeline_lib.data.occlusion.light import grain, pixel_grid, scene_light, wrinkles
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

SURGICAL_COLOURS: tuple[Colour, ...] = (
    (150, 195, 222),
    (126, 178, 214),
    (232, 236, 238),
    (160, 210, 200),
    (238, 196, 205),
    (48, 50, 56),
)
CLOTH_COLOURS: tuple[Colour, ...] = (
    (36, 38, 44),
    (44, 62, 104),
    (120, 34, 44),
    (92, 104, 84),
    (180, 168, 146),
    (116, 118, 124),
    (196, 88, 60),
    (78, 60, 108),
    (226, 222, 212),
)
N95_COLOURS: tuple[Colour, ...] = ((240, 240, 236), (228, 232, 236), (206, 214, 222), (70, 74, 80))
STRAP_YELLOW: Colour = (222, 190, 92)
METAL: Colour = (176, 180, 186)

# Half outlines from the nose bridge down to the chin, (a, p) of the face frame; mirrored for the other half. The bridge
# follows the nose when the head turns.
_HALF_OUTLINES = {
    "surgical": (
        (0, 0.24),
        (0.24, 0.32),
        (0.58, 0.42),
        (0.93, 0.46),
        (0.93, 0.8),
        (0.88, 1.16),
        (0.66, 1.52),
        (0.32, 1.7),
    ),
    "cloth": ((0, 0.2), (0.22, 0.3), (0.52, 0.44), (0.98, 0.52), (1, 0.76), (0.94, 1.14), (0.72, 1.5), (0.34, 1.74)),
    "n95": ((0, 0.18), (0.2, 0.27), (0.48, 0.46), (0.74, 0.68), (0.82, 0.98), (0.72, 1.3), (0.5, 1.54), (0.24, 1.66)),
}


def draw_face_mask(
    image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, style: str, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    """Draw a face mask over nose, mouth and chin; the eyes stay free.

    Shape, colours, pattern, folds and light vary with `rng` and follow the photograph's light. Pixels outside the
    recorded polygons are not touched.

    Args:
        image: uint8 RGB (112, 112, 3), aligned.
        landmarks: (5, 2) pixels in it.
        style: surgical | cloth | n95 | ffp2.
        rng: decides everything that varies.

    Returns:
        The picture, and {"parts": [{part, points, colour, opacity, clipped}, ...]} in the order painted, plus the
        style's own choices.

    Raises:
        DataError: the landmarks are not five finite points.
    """
    canvas, frame = Canvas(image), face_frame(landmarks)
    draw = {"surgical": _surgical, "cloth": _cloth, "n95": _n95, "ffp2": draw_ffp2}[style]
    choices = draw(canvas, frame, scene_light(image, frame), rng)
    return canvas.image(), {"parts": canvas.parts, **choices}


def _surgical(canvas: Canvas, frame: FaceFrame, light: Plane, rng: np.random.Generator) -> dict[str, object]:
    """Pleated, flat, with thin loops round the ears: two from each side."""
    colour = pick(rng, SURGICAL_COLOURS)
    for side in (-1, 1):
        strap(canvas, frame, light, [(0.92, 0.48), (1.08, 0.28), (1.20, 0.14)], side, 1.5, STRAP_WHITE)
        strap(canvas, frame, light, [(0.88, 1.12), (1.06, 0.86), (1.20, 0.46)], side, 1.5, STRAP_WHITE)
    outline = mask_outline(frame, _HALF_OUTLINES["surgical"], rng)
    texture = cloth_light(frame, light, bulge=0.22, rng=rng) * grain(rng, light.shape, 0.012)
    body = canvas.paint("mask", outline, colour, texture=texture)
    rim(canvas, outline, body, light, 1.6)
    for level in np.array([0.66, 0.88, 1.10]) + rng.uniform(-0.03, 0.03):
        sag = [(a, level + 0.09 * (1 - a * a)) for a in np.linspace(-0.96, 0.96, 7)]
        fold = smooth_line(frame.to_image(sag))
        canvas.paint("fold", ribbon(fold, 1.3), times(colour, 0.62), texture=texture, opacity=0.55, within=body)
        lit = fold + np.float32(1.2) * frame.down.astype(np.float32)
        canvas.paint("fold_light", ribbon(lit, 0.9), times(colour, 1.18), texture=texture, opacity=0.5, within=body)
    middle = bridge(frame)
    wire = smooth_line(frame.to_image([(middle + a, 0.33 + 0.30 * abs(a)) for a in np.linspace(-0.34, 0.34, 5)]))
    canvas.paint(
        "wire", ribbon(wire, 1.1, tapered=True), times(colour, 0.72), texture=texture, opacity=0.6, within=body
    )
    return {"style": "surgical"}


def _cloth(canvas: Canvas, frame: FaceFrame, light: Plane, rng: np.random.Generator) -> dict[str, object]:
    """Two sewn halves with a seam down the middle, plain or printed, broad loops of the same cloth."""
    colour = pick(rng, CLOTH_COLOURS)
    pattern = ("plain", "stripes", "dots", "checks")[int(rng.choice(4, p=[0.4, 0.2, 0.2, 0.2]))]
    for side in (-1, 1):
        strap(canvas, frame, light, [(0.95, 0.56), (1.10, 0.34), (1.20, 0.16)], side, 2.6, times(colour, 0.8))
        strap(canvas, frame, light, [(0.94, 1.06), (1.08, 0.86), (1.20, 0.50)], side, 2.6, times(colour, 0.8))
    outline = mask_outline(frame, _HALF_OUTLINES["cloth"], rng)
    folds = wrinkles(rng, light.shape, 11, 0.05) * grain(rng, light.shape, 0.035)
    texture = cloth_light(frame, light, bulge=0.34, rng=rng) * folds
    body = canvas.paint(
        "mask", outline, colour, texture=texture[:, :, None] * printed(frame, light.shape, pattern, rng)
    )
    rim(canvas, outline, body, light, 2.0)
    middle = bridge(frame)
    seam = smooth_line(frame.to_image([(middle, 0.2), (1.15 * middle, 0.62), (middle, 1.05), (0.6 * middle, 1.75)]))
    canvas.paint("seam", ribbon(seam, 1.2), times(colour, 0.55), texture=light, opacity=0.6, within=body)
    for side in (-1, 1):
        for start, end in ((0.62, 0.74), (0.92, 0.98), (1.20, 1.16)):
            reach = rng.uniform(0.3, 0.6)
            drop = rng.uniform(-0.06, 0.06)
            crease = smooth_line(
                frame.to_image([(side * 0.98, start), (side * (1 - reach / 2), end + drop), (side * (1 - reach), end)])
            )
            pen = ribbon(crease, rng.uniform(1.2, 2.2), tapered=True)
            canvas.paint("crease", pen, times(colour, 0.6), texture=light, opacity=0.4, within=body)
    return {"style": "cloth", "pattern": pattern}


def _n95(canvas: Canvas, frame: FaceFrame, light: Plane, rng: np.random.Generator) -> dict[str, object]:
    """A stiff cup with a metal clip over the nose, a pressed seam, two bands round the head, sometimes a valve."""
    colour = pick(rng, N95_COLOURS)
    band = STRAP_YELLOW if rng.random() < 0.5 else STRAP_WHITE
    for side in (-1, 1):
        strap(canvas, frame, light, [(0.72, 0.66), (1.02, 0.34), (1.34, -0.02)], side, 2.4, band)
        strap(canvas, frame, light, [(0.74, 1.16), (1.02, 1.08), (1.34, 0.98)], side, 2.4, band)
    outline = mask_outline(frame, _HALF_OUTLINES["n95"], rng)
    texture = _cup_light(frame, light, rng) * grain(rng, light.shape, 0.015)
    body = canvas.paint("mask", outline, colour, texture=texture)
    rim(canvas, outline, body, light, 3.0)
    middle = bridge(frame)
    level = 1.0 + rng.uniform(-0.08, 0.08)
    for shift, shade, opacity in ((0.0, 0.62, 0.6), (0.045, 1.15, 0.5)):
        line = [(a + middle * (1 - a * a), level + shift - 0.16 * (1 - a * a)) for a in np.linspace(-0.84, 0.84, 7)]
        pen = ribbon(smooth_line(frame.to_image(line)), 1.2)
        canvas.paint("seam", pen, times(colour, shade), texture=texture, opacity=opacity, within=body)
    clip = smooth_line(frame.to_image([(middle + a, 0.31 + 0.4 * abs(a)) for a in np.linspace(-0.25, 0.25, 5)]))
    canvas.paint("clip", ribbon(clip, 2.4), METAL, texture=light, opacity=0.9, within=body)
    valve = bool(rng.random() < 0.4)
    if valve:
        _valve(canvas, frame, light, body, middle + (0.0 if rng.random() < 0.6 else -0.3 * np.copysign(1.0, middle)))
    return {"style": "n95", "valve": valve}


def _valve(canvas: Canvas, frame: FaceFrame, light: Plane, body: Plane, a: float) -> None:
    centre = frame.to_image([(a, 1.12)])[0]
    for part, radius, colour in (("valve", 0.20, (168, 170, 172)), ("valve_lid", 0.155, (214, 216, 218))):
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        circle = centre + np.float32(radius * frame.scale_px) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        canvas.paint(part, circle.astype(np.float32), colour, texture=light, within=body)
    for shift in (-0.06, 0.0, 0.06):
        ends = centre + np.float32(frame.scale_px) * (
            shift * frame.down + np.array([[-0.11], [0.0], [0.11]]) * frame.across
        )
        pen = ribbon(ends.astype(np.float32), 0.9)
        canvas.paint("valve_slit", pen, (92, 94, 98), texture=light, opacity=0.8, within=body)


def _cup_light(frame: FaceFrame, light: Plane, rng: np.random.Generator) -> Plane:
    """Light on a dome whose top stands before the mouth."""
    a, p = np.moveaxis(frame.to_face(pixel_grid(light.shape)), -1, 0)
    from_top = np.hypot((a - bridge(frame)) / 0.85, (p - 0.85) / 0.8)
    side = rng.uniform(-0.16, 0.16)
    dome = 1.08 - 0.30 * from_top**2 + side * a - 0.10 * (p - 0.85)
    shaded: Plane = (light * np.clip(dome, 0.45, 1.2)).astype(np.float32)
    return shaded
