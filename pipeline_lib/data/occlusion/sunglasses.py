"""Sunglasses, drawn from five landmarks."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.occlusion.canvas import Canvas, Colour, Plane, Points, ribbon, smooth_line
from pipeline_lib.data.occlusion.frame import FaceFrame, face_frame
from pipeline_lib.data.occlusion.light import pixel_grid, scene_light

FRAMES: tuple[Colour, ...] = ((22, 22, 24), (30, 28, 34), (86, 56, 34), (170, 140, 70), (150, 152, 158), (120, 24, 34))
LENSES: tuple[Colour, ...] = ((18, 20, 24), (34, 26, 20), (24, 36, 34), (40, 34, 52), (28, 40, 64))
# style -> half width and half height of a lens in units of the face's scale, exponent of its superellipse, frame in px
STYLES = {"wayfarer": (0.43, 0.30, 3.2, 2.6), "round": (0.36, 0.35, 2.0, 1.6), "aviator": (0.42, 0.38, 2.5, 1.2)}


def draw_sunglasses(
    image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    """Draw sunglasses of one of three shapes over both eyes; the mouth stays free.

    Args:
        image: uint8 RGB (112, 112, 3), aligned.
        landmarks: (5, 2) pixels in it.
        rng: decides shape, colours, darkness and reflection.

    Returns:
        The picture, and {"parts": [{part, points, colour, opacity, clipped}, ...], "style": ...}. Pixels outside the
        parts' polygons are not touched.

    Raises:
        DataError: the landmarks are not five finite points.
    """
    canvas, frame = Canvas(image), face_frame(landmarks)
    light = scene_light(image, frame)
    style = ("wayfarer", "round", "aviator")[int(rng.integers(3))]
    frame_colour = FRAMES[int(rng.integers(len(FRAMES)))]
    lens_colour = LENSES[int(rng.integers(len(LENSES)))]
    opacity = float(np.round(rng.uniform(0.93, 1.0), 3))
    size = rng.uniform(0.94, 1.1)
    fade = rng.uniform(0.2, 1.4)
    reflection = rng.uniform(0.08, 0.3)
    eyes = np.asarray(landmarks, np.float64)[:2]
    if (eyes[1] - eyes[0]) @ frame.across < 0:
        eyes = eyes[::-1]  # the left lens is the left one in the picture also where a detector mixed the eyes up
    lenses = [_lens(frame, eyes[side], eyes[1 - side], style, side, size) for side in (0, 1)]
    for side, (lens, _) in enumerate(lenses):
        if frame.shows(side):
            _temple(canvas, frame, light, lens, side, frame_colour, STYLES[style][3])
    inner = [lens[np.argmax((1 - 2 * side) * (lens @ frame.across))] for side, (lens, _) in enumerate(lenses)]
    arch = (inner[0] + inner[1]) / 2 - 0.07 * frame.scale_px * frame.down
    bridge = smooth_line(np.array([inner[0], arch, inner[1]], np.float32))
    canvas.paint("bridge", ribbon(bridge, STYLES[style][3] + 0.4), frame_colour, texture=light)
    for lens, rim in lenses:
        canvas.paint("rim", rim, frame_colour, texture=light)
        texture = _lens_light(frame, light, lens, fade)
        glass = canvas.paint("lens", lens, lens_colour, texture=texture, opacity=opacity)
        _reflection(canvas, frame, lens, glass, reflection)
    return canvas.image(), {"parts": canvas.parts, "style": style}


def _lens(
    frame: FaceFrame,
    eye: npt.NDArray[np.float64],
    other_eye: npt.NDArray[np.float64],
    style: str,
    side: int,
    size: float,
) -> tuple[Points, Points]:
    """A lens and its frame's outer edge, (32, 2) each, around one eye; a far lens is foreshortened as its cheek is."""
    half_width, half_height, power, rim_px = STYLES[style]
    shortened = np.clip(frame.half_widths_px[side] / (1.08 * frame.scale_px), 0.6, 1.1)
    room = 0.5 * abs(float((other_eye - eye) @ frame.across)) - 0.03 * frame.scale_px  # the two must not overlap
    width = max(min(size * half_width * frame.scale_px * shortened, room), 0.14 * frame.scale_px)
    height = size * half_height * frame.scale_px
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power)
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power)
    outward = 1.0 if side else -1.0
    narrowing, hanging = (0.16, 0.12) if style == "aviator" else (0.08, 0.0)  # an aviator's drop hangs outwards
    x = x * (1 - narrowing * y) + hanging * outward * np.clip(y, 0, None)
    centre = eye + 0.05 * frame.scale_px * frame.down + 0.03 * frame.scale_px * outward * frame.across
    shape = np.stack([x, y], axis=1)
    lens, rim = (
        centre + shape[:, :1] * (width + grow) * frame.across + shape[:, 1:] * (height + grow) * frame.down
        for grow in (0.0, 0.6 * rim_px)
    )
    return lens.astype(np.float32), rim.astype(np.float32)


def _temple(
    canvas: Canvas, frame: FaceFrame, light: Plane, lens: Points, side: int, colour: Colour, rim_px: float
) -> None:
    """The arm from a lens's outer edge towards the ear, where the cheek leaves room for one."""
    outward = 1.0 if side else -1.0
    hinge = lens[np.argmax(outward * (lens @ frame.across) - 0.6 * (lens @ frame.down))]
    reach = max(1.16 * frame.half_widths_px[side] - outward * float((hinge - frame.origin) @ frame.across), 0.0)
    ear = hinge + reach * outward * frame.across + 0.08 * frame.scale_px * frame.down
    line = np.linspace(hinge, ear, 5).astype(np.float32)
    canvas.paint("temple", ribbon(line, 1.2 * rim_px), colour, texture=0.9 * light)


def _lens_light(frame: FaceFrame, light: Plane, lens: Points, fade: float) -> Plane:
    """A tint that is darkest at the top and lets more light through below."""
    below = pixel_grid(light.shape) @ frame.down.astype(np.float32)
    top, bottom = float((lens @ frame.down).min()), float((lens @ frame.down).max())
    share = np.clip((below - top) / max(bottom - top, 1.0), 0, 1)
    tint: Plane = (light * (1 + fade * share)).astype(np.float32)
    return tint


def _reflection(canvas: Canvas, frame: FaceFrame, lens: Points, glass: Plane, strength: float) -> None:
    centre, size = lens.mean(axis=0), frame.scale_px
    start = centre - 0.20 * size * frame.across - 0.16 * size * frame.down
    end = centre + 0.02 * size * frame.across - 0.26 * size * frame.down
    streak = ribbon(np.linspace(start, end, 7).astype(np.float32), 0.16 * size, tapered=True)
    canvas.paint("reflection", streak, (226, 232, 240), opacity=float(np.round(strength, 3)), within=glass)
