"""What is round a head: a background, neck, clothes and long hair, and the camera that takes the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.sources.synthetic_hair import hair_colour, length
from pipeline_lib.sources.synthetic_identity import Person
from pipeline_lib.sources.synthetic_light import Light
from pipeline_lib.sources.synthetic_noise import Field, blur, cell_noise, fractal_noise, mix, smoothstep
from pipeline_lib.sources.synthetic_texture import Colour, skin_colour

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Placement:
    """Where a head is in a picture: its origin in pixels, pixels per head unit, and how the body below it leans (radians)."""

    x: float
    y: float
    unit_px: float
    lean: float

    def below(self, size_px: int, y: float) -> tuple[slice, Field, Field]:
        """The picture's rows below head height `y`, and x and y of their pixels in head units, leaning with the body."""
        first = int(np.clip(np.floor(self.y + (y - 0.35) * self.unit_px), 0, size_px - 1))
        axis = (np.arange(size_px, dtype=np.float32) + np.float32(0.5)) / np.float32(self.unit_px)
        dx, dy = axis[None, :] - np.float32(self.x / self.unit_px), axis[first:, None] - np.float32(self.y / self.unit_px)
        cos, sin = np.float32(np.cos(self.lean)), np.float32(np.sin(self.lean))
        return slice(first, size_px), cos * dx + sin * dy, cos * dy - sin * dx


def paint_background(rng: np.random.Generator, size_px: int, defocus: float) -> Field:
    """A scene out of focus, linear (size, size, 3): a wall, a room of boxes, lights at night, or leaves and sky.

    `defocus` in [0, 1]: how far the blur goes; the scene is painted at a quarter of the size where nothing fine would be left.
    """
    scale = 0.5 if defocus > 0.3 else 1.0
    n = max(48, round(size_px * scale))
    base = rng.uniform(0.02, 0.55) * np.exp(rng.normal(0, 0.22, 3)).astype(np.float32)
    other = rng.uniform(0.02, 0.6) * np.exp(rng.normal(0, 0.28, 3)).astype(np.float32)
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    tilt = rng.uniform(-1, 1)
    slope = np.clip(ramp[:, None] * (1 - abs(tilt)) + ramp[None, :] * tilt + max(-tilt, 0.0), 0, 1)
    scene = base + (other - base) * slope[..., None]
    kind = rng.integers(4)
    if kind == 0:
        scene *= np.exp(0.12 * fractal_noise(rng, (n, n), 3, 5, 0.6))[..., None]
    elif kind == 1:
        _paint_boxes(rng, scene)
    elif kind == 2:
        scene *= np.float32(0.35)
        _paint_lights(rng, scene)
    else:
        leaves = fractal_noise(rng, (n, n), 7, 4, 0.75)
        green = np.array([0.10, 0.17, 0.05], np.float32) * np.float32(rng.uniform(0.5, 1.6)) * np.exp(rng.normal(0, 0.25, 3)).astype(np.float32)
        scene = mix(scene.astype(np.float32), (green * np.exp(0.55 * fractal_noise(rng, (n, n), 14, 3))[..., None]).astype(np.float32), smoothstep(-0.5, 0.6, leaves))
    scene = blur(scene.astype(np.float32), n * (0.004 + 0.035 * defocus))
    return np.asarray(cv2.resize(scene, (size_px, size_px), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _paint_boxes(rng: np.random.Generator, scene: Field) -> None:
    """Upright boxes of all sizes: shelves, windows, doors."""
    n = len(scene)
    for _ in range(int(rng.integers(6, 18))):
        x, y = rng.uniform(-0.2, 1.0, 2) * n
        width, height = rng.uniform(0.05, 0.55, 2) * n
        colour = rng.uniform(0.01, 0.75) * np.exp(rng.normal(0, 0.3, 3))
        cv2.rectangle(scene, (int(x), int(y)), (int(x + width), int(y + height)), [float(c) for c in colour], -1)
    scene *= np.exp(0.1 * fractal_noise(rng, (n, n), 6, 3))[..., None]


def _paint_lights(rng: np.random.Generator, scene: Field) -> None:
    """Discs of light, as lamps out of focus make."""
    n = len(scene)
    for _ in range(int(rng.integers(8, 30))):
        centre = rng.uniform(0, 1, 2) * n
        colour = rng.uniform(0.15, 0.9) * np.exp(rng.normal(0, 0.35, 3))
        disc = np.zeros((n, n), np.float32)
        cv2.circle(disc, (int(centre[0]), int(centre[1])), max(2, int(rng.uniform(0.015, 0.06) * n)), 1.0, -1, cv2.LINE_AA)
        scene += disc[..., None] * (0.7 * colour).astype(np.float32)


def paint_long_hair(
    person: Person, place: Placement, head_x: float, light: Light, rng: np.random.Generator, picture: Field, front: bool
) -> None:
    """Long hair that falls behind the neck (or, `front`, over the shoulders), in place; short hair adds nothing."""
    long = length(person)
    if long < 0.55:
        return
    rows, x, y = place.below(len(picture), -0.3)
    x = x - np.float32(head_x) * smoothstep(1.5, 0.5, y)
    end = 0.75 + 1.3 * (long - 0.5)
    height, width = x.shape
    flow = cell_noise(rng, (height, width), (4 + int(7 * person.hair_wave), max(8, int(width / 2.2))))
    side = np.abs(x + np.float32(0.025 * person.hair_wave) * np.sin(9 * y))
    outer = np.float32(person.head_width + 0.7 * person.hair_volume) + np.float32(0.06 + 0.6 * person.hair_volume) * smoothstep(0.0, 1.1, y)
    alpha = smoothstep(0.03, -0.03, side - outer + 0.02 * flow) * smoothstep(-0.25, 0.1, y) * smoothstep(0.12, -0.06, y - end + 0.07 * flow)
    shadow = 0.20 + 0.30 * smoothstep(0.45, 0.85, side)
    if front:
        inner = 0.60 + 0.03 * np.sin(5 * y)
        alpha = alpha * smoothstep(-0.02, 0.07, side - inner + 0.02 * flow) * smoothstep(0.2, 0.6, y)
        shadow = 0.35 + 0.65 * smoothstep(0.0, 0.2, side - inner)
    lit = light.ambient + light.key * np.float32(0.35) + light.fill * np.float32(0.4)
    lean = 1 + 0.35 * np.sign(x) * light.direction[0]
    colour = (hair_colour(person) * lit).astype(np.float32) * (shadow * lean * np.exp(0.35 * flow))[..., None]
    picture[rows] = mix(picture[rows], colour, alpha)


def paint_body(person: Person, place: Placement, head_x: float, light: Light, rng: np.random.Generator, picture: Field) -> None:
    """Neck and clothed shoulders, in place; `head_x` is where the turned head's axis stands, in head units."""
    rows, x, y = place.below(len(picture), 0.6)
    half = np.float32(0.40 + 0.09 * person.masculine + 0.4 * (person.head_width - 0.74))
    edge = 1.2 / place.unit_px
    # The neck: an upright cylinder in the chin's shadow, wider where it meets the shoulders.
    widen = np.float32(0.06) * smoothstep(1.0, 1.5, y)
    bend = x - np.float32(head_x) * smoothstep(1.4, 0.7, y)
    across = np.clip(bend / (half + widen), -1, 1)
    facing = np.maximum(across * light.direction[0] + np.sqrt(1 - across * across) * light.direction[2], 0.0)
    under_chin = np.float32(0.30) + np.float32(0.70) * smoothstep(person.chin - 0.02, person.chin + 0.42, y)
    shade = (0.85 * light.ambient) * (0.55 + 0.45 * under_chin)[..., None] + light.key * (facing * under_chin * np.float32(0.75))[..., None]
    neck = smoothstep(edge, -edge, np.abs(bend) - half - widen) * (y > 0.4)
    picture[rows] = mix(picture[rows], (skin_colour(person) * np.float32(0.92)) * shade, neck)
    # Clothes: sloping shoulders, a neckline, folds, perhaps stripes.
    wide = np.abs(x)
    shoulders = np.float32(1.30) + np.float32(rng.uniform(0.18, 0.42)) * wide * np.sqrt(wide) + 0.5 * np.maximum(wide - 1.55, 0) ** 2
    shoulders -= 0.15 * smoothstep(0.7, 0.3, wide)
    neckline = np.clip(1 - wide / 0.5, 0, 1) ** np.float32(rng.uniform(0.5, 1.5)) * np.float32(rng.uniform(0.05, 0.42)) + np.float32(1.16)
    cloth = smoothstep(-1.5 * edge, 1.5 * edge, y - np.maximum(shoulders, neckline))
    dye = (rng.uniform(0.01, 0.6) * np.exp(rng.normal(0, 0.4, 3))).astype(np.float32)
    folds = fractal_noise(rng, (y.shape[0], y.shape[1]), 7, 3, 0.55)
    facing = np.clip(0.62 + 0.4 * x * light.direction[0] - 0.15 * (y - 1.3) + 0.13 * folds, 0.08, 1.2)
    stripes, stripe_y, stripe_x = rng.random() < 0.3, rng.uniform(15, 50), rng.uniform(0, 20)
    if stripes:
        facing *= 1 + 0.12 * np.sign(np.sin(y * stripe_y + x * stripe_x))
    facing *= 0.7 + 0.3 * smoothstep(0.0, 0.10, y - neckline)
    colour = (dye * light.ambient) + (dye * light.key) * (np.float32(0.8) * facing)[..., None]
    picture[rows] = mix(picture[rows], colour, cloth)


def take_photograph(linear: Field, rng: np.random.Generator, subject: float | None) -> Picture:
    """The camera: exposure on the subject's mean brightness, lens blur, sensor noise, white balance, tone curve; uint8 RGB."""
    size = len(linear)
    level = subject if subject is not None else float(linear.mean())
    exposure = np.float32(np.clip(rng.normal(0.27, 0.07), 0.13, 0.45) / max(level, 0.02) ** rng.uniform(0.75, 1.0))
    balance = np.exp(rng.normal(0.0, 0.06, 3)).astype(np.float32)
    x = blur(linear, rng.gamma(2.0, 0.22) * size / 250) * (exposure * balance)
    ramp = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    x *= (1 - np.float32(rng.uniform(0.0, 0.16)) * (ramp[:, None] + ramp[None, :]))[..., None]
    x = x * (1 + np.float32(0.12) * x) / (1 + np.float32(0.62) * x)  # shoulder of the film curve
    x = np.sqrt(np.maximum(x, 0.0))  # gamma 2
    contrast, lift = np.float32(rng.uniform(0.88, 1.22)), np.float32(rng.normal(0.0, 0.025))
    x = (x - np.float32(0.45)) * contrast + np.float32(0.45) + lift
    grey = x @ np.array([0.3, 0.59, 0.11], np.float32)
    x = grey[..., None] + (x - grey[..., None]) * np.float32(rng.uniform(0.75, 1.15))
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    x += np.float32(rng.uniform(0.004, 0.022)) * noise
    return np.clip(x * 255 + 0.5, 0, 255).astype(np.uint8)
