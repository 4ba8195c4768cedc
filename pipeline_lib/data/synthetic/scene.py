"""What is round a head: a background, neck, clothes and long hair, and the camera that takes the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.synthetic.hair import hair_colour, length
from pipeline_lib.data.synthetic.identity import Person
from pipeline_lib.data.synthetic.light import Light
from pipeline_lib.data.synthetic.noise import Field, blur, cell_noise, dye, fractal_noise, mix, smoothstep
from pipeline_lib.data.synthetic.texture import skin_colour

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
        dx, dy = (
            axis[None, :] - np.float32(self.x / self.unit_px),
            axis[first:, None] - np.float32(self.y / self.unit_px),
        )
        cos, sin = np.float32(np.cos(self.lean)), np.float32(np.sin(self.lean))
        return slice(first, size_px), cos * dx + sin * dy, cos * dy - sin * dx


def paint_background(rng: np.random.Generator, size_px: int, defocus: float) -> Field:
    """A scene out of focus, linear planes (3, size, size): a wall, a room of boxes, lights at night, or leaves and sky.

    `defocus` in [0, 1]: how far the blur goes; the scene is painted at half the size where nothing fine would be left.
    """
    scale = 0.5 if defocus > 0.3 else 1.0
    n = max(48, round(size_px * scale))
    base = rng.uniform(0.02, 0.55) * np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)
    other = rng.uniform(0.02, 0.6) * np.exp(rng.normal(0, 0.18, 3)).astype(np.float32)
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    tilt = rng.uniform(-1, 1)
    slope = np.clip(ramp[:, None] * (1 - abs(tilt)) + ramp[None, :] * tilt + max(-tilt, 0.0), 0, 1)
    scene = np.asarray(base + (other - base) * slope[..., None], dtype=np.float32)
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
        green = (
            np.array([0.10, 0.17, 0.05], np.float32)
            * np.float32(rng.uniform(0.5, 1.6))
            * np.exp(rng.normal(0, 0.25, 3)).astype(np.float32)
        )
        foliage = green * np.exp(0.55 * fractal_noise(rng, (n, n), 14, 3))[..., None]
        scene += (foliage - scene) * smoothstep(-0.5, 0.6, leaves)[..., None]
    scene = blur(scene, n * (0.004 + 0.035 * defocus))
    return np.stack(cv2.split(cv2.resize(scene, (size_px, size_px), interpolation=cv2.INTER_LINEAR)))


def _paint_boxes(rng: np.random.Generator, scene: Field) -> None:
    """Upright boxes of all sizes: shelves, windows, doors."""
    n = len(scene)
    for _ in range(int(rng.integers(6, 18))):
        x, y = rng.uniform(-0.2, 1.0, 2) * n
        width, height = rng.uniform(0.05, 0.55, 2) * n
        colour = rng.uniform(0.01, 0.75) * np.exp(rng.normal(0, 0.18, 3))
        cv2.rectangle(scene, (int(x), int(y)), (int(x + width), int(y + height)), [float(c) for c in colour], -1)
    scene *= np.exp(0.1 * fractal_noise(rng, (n, n), 6, 3))[..., None]


def _paint_lights(rng: np.random.Generator, scene: Field) -> None:
    """Discs of light, as lamps out of focus make."""
    n = len(scene)
    for _ in range(int(rng.integers(8, 30))):
        centre = rng.uniform(0, 1, 2) * n
        colour = rng.uniform(0.15, 0.9) * np.exp(rng.normal(0, 0.1, 3) + np.array([0.3, 0.0, -0.4]))
        disc = np.zeros((n, n), np.float32)
        cv2.circle(
            disc, (int(centre[0]), int(centre[1])), max(2, int(rng.uniform(0.015, 0.06) * n)), 1.0, -1, cv2.LINE_AA
        )
        scene += disc[..., None] * (0.7 * colour).astype(np.float32)


def paint_long_hair(
    person: Person, place: Placement, head_x: float, light: Light, rng: np.random.Generator, picture: Field, front: bool
) -> None:
    """Long hair that falls behind the neck (or, `front`, over the shoulders), in place; short hair adds nothing."""
    long = length(person)
    if long < 0.55:
        return
    rows, x, y = place.below(picture.shape[1], -0.3)
    x = x - np.float32(head_x) * smoothstep(1.5, 0.5, y)
    end = 0.75 + 1.3 * (long - 0.5)
    height, width = x.shape
    flow = cell_noise(rng, (height, width), (4 + int(7 * person.hair_wave), max(8, int(width / 2.2))))
    side = np.abs(x + np.float32(0.025 * person.hair_wave) * np.sin(9 * y))
    outer = np.float32(person.head_width + 0.7 * person.hair_volume) + np.float32(
        0.06 + 0.6 * person.hair_volume
    ) * smoothstep(0.0, 1.1, y)
    alpha = (
        smoothstep(0.03, -0.03, side - outer + 0.02 * flow)
        * smoothstep(-0.25, 0.1, y)
        * smoothstep(0.12, -0.06, y - end + 0.07 * flow)
    )
    shadow = 0.20 + 0.30 * smoothstep(0.45, 0.85, side)
    if front:
        inner = np.asarray(0.60 + 0.03 * np.sin(5 * y), dtype=np.float32)
        alpha = alpha * smoothstep(-0.02, 0.07, side - inner + 0.02 * flow) * smoothstep(0.2, 0.6, y)
        shadow = 0.35 + 0.65 * smoothstep(0.0, 0.2, side - inner)
    lit = light.ambient + light.key * np.float32(0.35) + light.fill * np.float32(0.4)
    lean = 1 + 0.35 * np.sign(x) * light.direction[0]
    colour = dye(hair_colour(person) * lit, shadow * lean * np.exp(0.35 * flow))
    picture[:, rows] = mix(picture[:, rows], colour, alpha)


def paint_body(
    person: Person, place: Placement, head_x: float, light: Light, rng: np.random.Generator, picture: Field
) -> None:
    """Neck and clothed shoulders, in place; `head_x` is where the turned head's axis stands, in head units."""
    rows, x, y = place.below(picture.shape[1], 0.6)
    half = np.float32(0.40 + 0.09 * person.masculine + 0.4 * (person.head_width - 0.74))
    edge = 1.2 / place.unit_px
    # The neck: an upright cylinder in the chin's shadow, wider where it meets the shoulders.
    widen = np.float32(0.06) * smoothstep(1.0, 1.5, y)
    bend = x - np.float32(head_x) * smoothstep(1.4, 0.7, y)
    across = np.clip(bend / (half + widen), -1, 1)
    facing = np.maximum(across * light.direction[0] + np.sqrt(1 - across * across) * light.direction[2], 0.0)
    under_chin = np.float32(0.30) + np.float32(0.70) * smoothstep(person.chin - 0.02, person.chin + 0.42, y)
    skin = skin_colour(person) * np.float32(0.92)
    colour = dye(0.85 * skin * light.ambient, 0.55 + 0.45 * under_chin) + dye(
        0.75 * skin * light.key, facing * under_chin
    )
    neck = smoothstep(edge, -edge, np.abs(bend) - half - widen) * (y > 0.4)
    picture[:, rows] = mix(picture[:, rows], colour, neck)
    # Clothes: sloping shoulders, a neckline, folds, perhaps stripes.
    wide = np.abs(x)
    shoulders = (
        np.float32(1.30)
        + np.float32(rng.uniform(0.18, 0.42)) * wide * np.sqrt(wide)
        + 0.5 * np.maximum(wide - 1.55, 0) ** 2
    )
    shoulders -= 0.15 * smoothstep(0.7, 0.3, wide)
    opening, depth = np.float32(rng.uniform(0.5, 1.5)), np.float32(rng.uniform(0.05, 0.42))
    neckline = np.float32(1.16) + depth * np.clip(1 - wide / 0.5, 0, 1) ** opening
    cloth = smoothstep(-1.5 * edge, 1.5 * edge, y - np.maximum(shoulders, neckline))
    cloth_colour = (rng.uniform(0.01, 0.6) * np.exp(rng.normal(0, 0.3, 3))).astype(np.float32)
    folds = fractal_noise(rng, (y.shape[0], y.shape[1]), 7, 3, 0.55)
    facing = np.clip(0.62 + 0.4 * x * light.direction[0] - 0.15 * (y - 1.3) + 0.13 * folds, 0.08, 1.2)
    stripes, stripe_y, stripe_x = rng.random() < 0.3, rng.uniform(15, 50), rng.uniform(0, 20)
    if stripes:
        facing *= 1 + 0.12 * np.sign(np.sin(y * stripe_y + x * stripe_x))
    facing *= 0.7 + 0.3 * smoothstep(0.0, 0.10, np.asarray(y - neckline, dtype=np.float32))
    colour = dye(cloth_colour * light.ambient, np.ones_like(x)) + dye(0.8 * cloth_colour * light.key, facing)
    picture[:, rows] = mix(picture[:, rows], colour, cloth)


def take_photograph(linear: Field, rng: np.random.Generator, subject: float | None) -> Picture:
    """The camera: exposure for a subject of that brightness, lens blur, white balance, tone curve, colour, sensor noise.

    Linear planes (3, size, size) to uint8 RGB (size, size, 3). `subject` None: the whole picture sets the exposure.
    """
    size = linear.shape[1]
    level = subject if subject is not None else float(linear.mean())
    exposure = float(np.clip(rng.normal(0.36, 0.08), 0.18, 0.58)) / max(level, 0.02) ** rng.uniform(0.8, 1.0)
    balance = np.diag(np.exp(rng.normal(0.0, 0.06, 3)) * exposure)
    ramp = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    vignette = 1 - np.float32(rng.uniform(0.0, 0.16)) * (ramp[:, None] + ramp[None, :])
    x = cv2.transform(
        blur(cv2.merge([plane * vignette for plane in linear]), rng.gamma(2.0, 0.19) * size / 250), balance
    )
    x *= (1 + np.float32(0.12) * x) / (1 + np.float32(0.62) * x)  # shoulder of the film curve
    x = cv2.sqrt(np.maximum(x, 0.0))  # gamma 2
    # Contrast about 0.45, a lifted or sunk black, and saturation, as one affine map of the colour.
    contrast, lift, saturation = rng.uniform(0.95, 1.3), rng.normal(0.0, 0.025), rng.uniform(0.75, 1.15)
    mixing = contrast * (saturation * np.eye(3) + (1 - saturation) * np.array([[0.30, 0.59, 0.11]]))
    x = cv2.transform(x, 255 * np.column_stack([mixing, np.full(3, 0.45 * (1 - contrast) + lift)]))
    # Sensor noise: fine in brightness, coarser and weaker in colour.
    strength = np.float32(rng.uniform(1.0, 5.0))
    fine = strength * rng.standard_normal((size, size), dtype=np.float32)
    coarse = 0.5 * strength * rng.standard_normal((size // 3, size // 3, 3), dtype=np.float32)
    x += cv2.merge([fine, fine, fine])
    x += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.convertScaleAbs(np.maximum(x, 0.0)), dtype=np.uint8)
