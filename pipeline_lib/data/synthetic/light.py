"""Light on the head's chart: sky and key light, shadows that features cast, creases, shine."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.synthetic.geometry import AXIS_RADIUS, S_LIMIT, Y_TOP, Chart, Rotation, surface_normals
from pipeline_lib.data.synthetic.noise import Field, blur, dye

Colour = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Light:
    """Camera frame. `direction` is the unit vector to the key light; colours are linear, (3,)."""

    direction: Colour
    key: Colour
    fill_direction: Colour
    fill: Colour
    ambient: Colour
    softness: float  # 0 a bare bulb, 1 an overcast sky


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light: mostly from above and any side, warm or cool, hard or soft, with a weaker one from the other side."""
    azimuth, elevation = rng.normal(0.0, 1.0), rng.uniform(-0.05, 1.05)
    azimuth = float(np.clip(azimuth, -1.35, 1.35))
    softness = rng.uniform(0.0, 0.9)
    warmth, second = rng.normal(0.04, 0.13), rng.normal(0.0, 0.13)
    strength = rng.uniform(0.55, 1.0) * (1.15 - 0.45 * softness)
    return Light(
        direction=_unit(azimuth, elevation),
        key=_tinted(strength, warmth),
        fill_direction=_unit(-np.sign(azimuth) * rng.uniform(0.5, 1.4), rng.uniform(-0.4, 0.6)),
        fill=_tinted(rng.uniform(0.0, 0.22), second),
        ambient=_tinted(0.11 + 0.27 * softness * rng.uniform(0.6, 1.1), 0.5 * (warmth + second)),
        softness=softness,
    )


def _unit(azimuth: float, elevation: float) -> Colour:
    flat = np.cos(elevation)
    return np.array([np.sin(azimuth) * flat, -np.sin(elevation), np.cos(azimuth) * flat], np.float32)


def _tinted(strength: float, warmth: float) -> Colour:
    return np.asarray(strength * np.exp(np.array([warmth, 0.0, -1.3 * warmth])), dtype=np.float32)


def shade(chart: Chart, radius: Field, turn: Rotation, light: Light, shine: Field) -> tuple[Field, Field]:
    """Light that the surface receives (to be multiplied by its colour) and light that it mirrors (to be added).

    Lambert's cosine, wrapped a little round the edge of the shadow and more in red, as skin scatters; half of Blinn-Phong's
    exponent-18 lobe for the shine; sky light by the normal's slope; all dimmed in creases and in cast shadows.

    Returns:
        received and mirrored, float32 (3, H, W).
    """
    normals = surface_normals(chart, radius)
    to_head = turn.T  # vectors of the camera frame into the head frame
    key_direction = to_head @ light.direction
    half = to_head @ np.array([0, 0, 1], np.float32) + key_direction
    down = to_head @ np.array([0, 1, 0], np.float32)
    directions = np.stack(
        [key_direction, down, to_head @ light.fill_direction, half / np.float32(np.linalg.norm(half))]
    )
    cosine, slope, fill, gloss = cv2.split(cv2.transform(normals, directions))
    bright = 1 - cast_shadow(chart, radius, key_direction, light.softness)
    open_sky = crease_light(chart, radius)
    sky = (np.float32(0.72) - np.float32(0.28) * slope) * open_sky
    fill = np.maximum(fill, 0.0) * open_sky
    key_sky = np.float32(0.35) + np.float32(0.65) * open_sky
    channels = []
    for channel, scatter in enumerate((0.24, 0.12, 0.07)):
        wrap = np.float32(scatter + 0.25 * light.softness)
        leak = np.float32(0.06 + scatter)
        lit = np.maximum(cosine + wrap, 0.0) * (leak + (1 - leak) * bright) * key_sky
        channels.append(
            light.ambient[channel] * sky + (light.key[channel] / (1 + wrap)) * lit + light.fill[channel] * fill
        )
    gloss = np.maximum(gloss, 0.0)
    gloss *= gloss
    cubed = gloss * gloss * gloss
    gloss = cubed * cubed * cubed * shine * bright * np.float32(0.5 * (1 - 0.5 * light.softness))
    return np.stack(channels), dye(light.key, gloss)


def crease_light(chart: Chart, radius: Field) -> Field:
    """How much of the sky a place sees, about 1 on the open face, 0.4 deep in a crease: radius less its neighbourhood's mean."""
    solid = np.maximum(radius, np.float32(0.6) * (radius <= 0.05))
    near = solid - blur(solid, 0.035 * chart.pixels_per_unit)
    small = cv2.resize(solid, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    far = solid - cv2.resize(
        blur(small, 0.03 * chart.pixels_per_unit), (radius.shape[1], radius.shape[0]), interpolation=cv2.INTER_LINEAR
    )
    light = np.float32(0.98) + np.float32(7.0) * np.minimum(near, 0.01) + np.float32(2.6) * np.minimum(far, 0.03)
    return np.asarray(np.clip(light, 0.35, 1.08), dtype=np.float32)


def cast_shadow(chart: Chart, radius: Field, direction: Colour, softness: float) -> Field:
    """Opacity (H, W) in [0, 1] of the shadow that the surface throws on itself.

    From each place of a half-size chart six steps are taken toward the light; where one is below the surface there is shadow, the
    softer the farther the step.
    """
    small = cv2.resize(radius, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = small.shape
    phi = np.linspace(-S_LIMIT, S_LIMIT, width, dtype=np.float32)[None, :] / np.float32(AXIS_RADIUS)
    y = np.linspace(chart.y[0], chart.y[-1], height, dtype=np.float32)[:, None]
    x, z = small * np.sin(phi), small * np.cos(phi)
    columns_per_radian = np.float32(AXIS_RADIUS * (width - 1) / (2 * S_LIMIT))
    rows_per_unit = np.float32((height - 1) / (chart.y[-1] - chart.y[0]))
    deepest = np.zeros_like(small)
    for distance in (0.05, 0.09, 0.14, 0.21, 0.30, 0.42):
        step = np.float32(distance) * direction
        rho, angle = cv2.cartToPolar(z + step[2], x + step[0])
        angle -= np.float32(2 * np.pi) * (angle > np.pi)
        rows = np.broadcast_to((y + step[1] - np.float32(Y_TOP)) * rows_per_unit, angle.shape)
        surface = cv2.remap(
            small,
            (angle + np.float32(S_LIMIT / AXIS_RADIUS)) * columns_per_radian,
            np.ascontiguousarray(rows),
            cv2.INTER_LINEAR,
        )
        deepest = np.maximum(
            deepest, (surface - rho - np.float32(0.012)) / np.float32(0.02 + (0.1 + 0.35 * softness) * distance)
        )
    soft = blur(np.clip(deepest, 0, 1), (0.012 + 0.03 * softness) * chart.pixels_per_unit / 2)
    full = cv2.resize(soft, (radius.shape[1], radius.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full * np.float32(1 - 0.35 * softness), dtype=np.float32)
