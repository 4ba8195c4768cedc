"""The colours of a face on its chart: skin and its marks, eyes, brows, nose, mouth. Linear light."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.synthetic.geometry import Chart, Expression, mouth_shape
from pipeline_lib.data.synthetic.identity import Person
from pipeline_lib.data.synthetic.noise import Field, blur, cell_noise, dye, fractal_noise, smoothstep

Colour = npt.NDArray[np.float32]
SKIN_LIGHT = np.array([0.80, 0.56, 0.44], np.float32)
SKIN_DARK = np.array([0.105, 0.046, 0.027], np.float32)
IRIS_COLOURS = np.array(
    [
        [0.02, 0.01, 0.006],
        [0.09, 0.04, 0.015],
        [0.16, 0.10, 0.035],
        [0.12, 0.16, 0.07],
        [0.16, 0.20, 0.22],
        [0.11, 0.22, 0.36],
    ],
    np.float32,
)
EYE_WHITE, TOOTH = np.array([0.44, 0.40, 0.38], np.float32), np.array([0.70, 0.64, 0.54], np.float32)
CATCH_LIGHT = np.float32(1.8)  # a mirror image of the light source: brighter than any white paint


@dataclass
class Paint:
    """The chart's colours (3, H, W), and how much each place shines (H, W), 0 to 1; painters change both in place."""

    colour: Field
    shine: Field

    def lay(self, where: tuple[slice, slice], colour: Field | Colour, alpha: Field, shine: float | None = None) -> None:
        """Lay a colour (3,) or planes (3, h, w) with opacity `alpha` (h, w) over a window."""
        opacity = np.clip(alpha, 0.0, 1.0)
        below = self.colour[(slice(None), *where)]
        below += ((colour[:, None, None] if colour.ndim == 1 else colour) - below) * opacity
        if shine is not None:
            gloss = self.shine[where]
            gloss += (np.float32(shine) - gloss) * opacity

    def copy(self) -> "Paint":
        """A copy to go on painting."""
        return Paint(self.colour.copy(), self.shine.copy())


def skin_colour(person: Person) -> Colour:
    """Mean skin colour (3,), linear: light to dark by melanin in equal ratios, redder with blood."""
    tone = SKIN_LIGHT * (SKIN_DARK / SKIN_LIGHT) ** np.float32(person.melanin**2.1)
    blood = np.array([1.05, 0.88, 0.86], np.float32) ** np.float32(person.redness)
    return np.asarray(tone * blood, dtype=np.float32)


def paint_skin(chart: Chart, person: Person, rng: np.random.Generator) -> Paint:
    """The bare skin with blush, shadows round the eyes, unevenness, pores, freckles and moles.

    `rng` is the person's own (marks_rng): the same marks in every photograph.
    """
    p, shape = person, chart.shape
    spots = _spots(chart, person, rng)
    # Exponents of two pigments: `red` leaves red light, `brown` darkens all of it.
    red = 0.30 * (0.4 + p.redness) * chart.pair(0.42, p.eye_height + 0.32, 0.16, 0.13)
    red += 0.35 * (0.3 + p.redness) * chart.bump(0.0, p.nose_length, 0.12, 0.09)
    red += 0.2 * chart.bump(0.0, p.chin - 0.12, 0.13, 0.08) + 0.3 * chart.pair(1.12, 0.1, 0.1, 0.2)
    red += np.float32(0.10 * p.unevenness) * fractal_noise(rng, shape, 10, 3, 0.7)
    brown = (0.10 + 0.25 * p.eye_bag) * chart.pair(p.eye_spacing - 0.03, p.eye_height + 0.085, 0.11, 0.04)
    brown += 0.12 * chart.pair(p.eye_spacing - 0.02, p.eye_height - 0.06, 0.14, 0.05)
    brown += np.float32(0.05 * p.unevenness) * fractal_noise(rng, shape, 18, 4, 0.8)
    brown += np.float32(0.045) * cell_noise(rng, shape, (shape[0] // 2, shape[1] // 2)) + spots
    mean = skin_colour(p)
    pigments = ((0.1, 0.7), (0.75, 1.0), (0.7, 1.2))
    colour = np.stack(
        [mean[k] * np.exp(-np.float32(r) * red - np.float32(b) * brown) for k, (r, b) in enumerate(pigments)]
    )
    shine = np.float32(0.18 * p.shine) * (
        1 + chart.bump(0, p.nose_length, 0.1, 0.12) + 0.8 * chart.bump(0, -0.42, 0.3, 0.15)
    )
    shine += np.float32(0.12 * p.shine) * chart.pair(0.42, p.eye_height + 0.2, 0.1, 0.07)
    return Paint(colour, shine)


def _spots(chart: Chart, person: Person, rng: np.random.Generator) -> Field:
    """Freckles on nose and cheeks and a few moles anywhere, as pigment."""
    impulses = np.zeros(chart.shape, np.float32)
    num_freckles = round(260 * max(person.freckles, 0.0) * max(1 - 1.6 * person.melanin, 0.0))
    places = rng.normal((0.0, 0.24), (0.34, 0.15), (400, 2)).astype(np.float32)
    strengths = rng.uniform(0.25, 1.0, 400).astype(np.float32)
    ppu = chart.pixels_per_unit
    columns = np.clip((places[:, 0] - chart.s[0]) * ppu, 0, chart.shape[1] - 1).astype(int)
    rows = np.clip((places[:, 1] - chart.y[0]) * ppu, 0, chart.shape[0] - 1).astype(int)
    impulses[rows[:num_freckles], columns[:num_freckles]] = strengths[:num_freckles]
    sigma = 0.0105 * ppu
    freckles = blur(impulses, sigma) * np.float32(0.85 * 2 * np.pi * sigma**2)
    moles = np.zeros(chart.shape, np.float32)
    for _ in range(int(person.moles)):
        s, y, size = rng.uniform(-0.55, 0.55), rng.uniform(-0.45, 0.85), rng.uniform(0.012, 0.024)
        where = chart.window(s - 0.08, s + 0.08, y - 0.08, y + 0.08)
        distance = np.hypot(chart.s[None, where[1]] - np.float32(s), chart.y[where[0], None] - np.float32(y))
        moles[where] += np.float32(1.7) * smoothstep(size + 0.009, size - 0.006, distance)
    return freckles + moles


def paint_eyes(chart: Chart, person: Person, expression: Expression, light: tuple[float, float], paint: Paint) -> None:
    """Both eyes: eyeball, iris, pupil, catch light on the side of the light (s, y direction), lids, lashes, crease."""
    p = person
    narrow = expression.lids + 0.22 * max(expression.smile, 0.0)
    height = np.float32(max(p.eye_open * (1.04 - narrow), 0.022))
    iris = IRIS_COLOURS[min(int(p.iris_hue * 5), 4)]
    iris = iris + (IRIS_COLOURS[min(int(p.iris_hue * 5), 4) + 1] - iris) * np.float32(
        p.iris_hue * 5 - min(int(p.iris_hue * 5), 4)
    )
    ppu = np.float32(chart.pixels_per_unit)
    skin = skin_colour(p)
    for side in (-1, 1):
        middle = side * p.eye_spacing
        where = chart.window(middle - 0.26, middle + 0.26, p.eye_height - 0.17, p.eye_height + 0.15)
        out = (chart.s[None, where[1]] - np.float32(middle)) * np.float32(side)  # toward the temple
        down = chart.y[where[0], None] - np.float32(p.eye_height) + np.float32(p.eye_tilt) * out
        t = out / np.float32(p.eye_width)
        arch = np.clip(1 - np.abs(t + 0.08) ** 2.2, 0, None)
        upper = -height * arch ** np.float32(0.85) * (1.0 - 0.1 * t)
        lower = np.float32(0.58) * height * np.clip(1 - (t - 0.1) ** 2, 0, None)
        inside = (
            np.clip((down - upper) * ppu + 0.5, 0, 1)
            * np.clip((lower - down) * ppu + 0.5, 0, 1)
            * np.clip((1.02 - np.abs(t)) * 12, 0, 1)
        )
        # The fold of the upper lid, and the lid's own rounding below it.
        crease = np.exp(
            -(((down - upper + np.float32(0.034 + 0.012 * p.eye_open)) / np.float32(0.013)) ** 2)
        ) * smoothstep(1.25, 0.75, np.abs(t))
        paint.lay(where, skin * np.float32(0.28), crease * np.float32(0.65 * p.lid_fold))
        paint.lay(
            where,
            skin * np.array([0.8, 0.6, 0.58], np.float32),
            np.exp(-(((lower - down + 0.018) / np.float32(0.02)) ** 2)) * 0.25 * smoothstep(1.1, 0.8, np.abs(t)),
        )
        # The eyeball darkens toward the corners and under the upper lid.
        dim = 1 - 0.45 * np.clip(np.abs(t), 0, 1) ** 2 - 0.45 * np.exp(-((down - upper) / np.float32(0.032)))
        white = dye(EYE_WHITE, np.clip(dim, 0.15, 1.0))
        paint.lay(where, white, inside, shine=0.12)
        shift = np.float32(expression.gaze[0] * side)
        radial = np.hypot(out - shift, down - np.float32(expression.gaze[1]) + 0.18 * height) / np.float32(
            p.iris_radius
        )
        shading = (0.55 + 0.6 * smoothstep(0.3, 0.8, radial)) * (1 - 0.75 * smoothstep(0.8, 1.02, radial))
        ring = dye(iris, shading * np.clip(dim + 0.2, 0.25, 1.0))
        edge = np.float32(p.iris_radius) * ppu
        paint.lay(where, ring, inside * np.clip((1 - radial) * edge + 0.5, 0, 1))
        paint.lay(
            where, np.array([0.004, 0.004, 0.004], np.float32), inside * np.clip((0.42 - radial) * edge + 0.5, 0, 1)
        )
        glint = np.hypot(
            out - shift - np.float32(0.018 * light[0] * side), down + 0.18 * height - np.float32(0.02 * light[1])
        )
        paint.lay(where, np.full(3, CATCH_LIGHT, np.float32), inside * smoothstep(0.0155, 0.005, glint))
        lash = (
            np.exp(-(((down - upper + 0.004) / np.float32(0.0125)) ** 2))
            * smoothstep(1.22, 0.9, np.abs(t))
            * (0.75 + 0.25 * np.clip(t, -1, 1))
        )
        paint.lay(where, np.array([0.012, 0.009, 0.008], np.float32), lash * np.float32(0.95 * p.lash))
        below = (
            np.exp(-(((down - lower) / np.float32(0.008)) ** 2))
            * smoothstep(1.1, 0.85, np.abs(t))
            * (0.5 + 0.4 * np.clip(t, -1, 1))
        )
        paint.lay(where, np.array([0.03, 0.018, 0.015], np.float32), below * np.float32(0.6 * p.lash))


def paint_brows(chart: Chart, person: Person, expression: Expression, hair: Colour, hairs: Field, paint: Paint) -> None:
    """Both brows as tapering arcs of hairs ; `expression.brows` lifts them, below zero draws them together.

    `hairs` is noise (2, rows, columns), a plane a brow.
    """
    p, raised = person, expression.brows
    thickness = np.float32(p.brow_thickness * (0.8 + 0.35 * p.masculine))
    inner = p.brow_inner + 0.02 * min(raised, 0.0)
    base = p.eye_height - p.brow_gap - 0.045 * max(raised, 0.0) - 0.025 * min(raised, 0.0)
    colour = np.asarray(hair * np.float32(0.55), dtype=np.float32)
    for side in (-1, 1):
        edges = sorted((side * (inner - 0.06), side * (inner + p.brow_length + 0.06)))
        where = chart.window(edges[0], edges[1], base - 0.22, base + 0.2)
        out = chart.s[None, where[1]] * np.float32(side)
        t = (out - np.float32(inner)) / np.float32(p.brow_length)
        frown = 0.05 * min(raised, 0.0) * np.clip(1 - t, 0, None) ** 2
        centre = (
            np.float32(base)
            - p.brow_arch * (1 - ((t - 0.62) / 0.62) ** 2)
            - p.brow_tilt * p.brow_length * (t - 0.4)
            - frown
        )
        along = np.clip(t, 0, 1)
        half = thickness * (0.55 + 0.45 * smoothstep(0.0, 0.3, along)) * (1 - 0.75 * smoothstep(0.45, 1.0, along))
        offset = (chart.y[where[0], None] - centre) / half
        fine = cv2.resize(hairs[(side + 1) // 2], (offset.shape[1], offset.shape[0]), interpolation=cv2.INTER_CUBIC)
        body = smoothstep(1.45, 0.35, np.abs(offset)) * smoothstep(-0.07, 0.09, t) * smoothstep(1.06, 0.85, t)
        density = np.float32(0.6 + 0.36 * p.brow_density) * (1 - np.float32(0.16 * (1.4 - p.brow_density)) * (1 + fine))
        paint.lay(where, colour, body * np.clip(density, 0.15, 1.0), shine=0.05)


def paint_nose(chart: Chart, person: Person, paint: Paint) -> None:
    """The nostrils and the shadow in the groove behind each wing."""
    p = person
    skin = skin_colour(p)
    for side in (-1, 1):
        middle = side * (0.5 * p.nose_width)
        where = chart.window(middle - 0.12, middle + 0.12, p.nose_length - 0.06, p.nose_length + 0.16)
        ds = (chart.s[None, where[1]] - np.float32(middle)) * np.float32(side)
        dy = chart.y[where[0], None] - np.float32(p.nose_length + 0.072) + 0.35 * ds
        hole = np.exp(-(((ds / np.float32(0.27 * p.nose_width)) ** 2 + (dy / np.float32(0.018)) ** 2) ** 1.5))
        paint.lay(where, skin * np.array([0.10, 0.06, 0.05], np.float32), np.float32(0.92) * hole, shine=0.0)
        groove = np.exp(-(((ds - np.float32(0.62 * p.nose_width)) / 0.016) ** 2) - ((dy + 0.05) / 0.04) ** 2)
        paint.lay(where, skin * np.float32(0.4), groove * np.float32(0.5))


def paint_mouth(chart: Chart, person: Person, expression: Expression, paint: Paint) -> Field:
    """Lips, the line between them or the open mouth with its teeth; returns the mask (H, W) where no beard grows."""
    p, mouth = person, mouth_shape(person, expression)
    ppu = np.float32(chart.pixels_per_unit)
    where = chart.window(-0.46, 0.46, mouth.y - 0.2, mouth.y + 0.36)
    s, y = chart.s[None, where[1]], chart.y[where[0], None]
    t = s / np.float32(mouth.width)
    inner = np.clip(1 - t * t, 0, None)
    stretch = np.float32(1 - 0.25 * max(expression.smile, 0.0))
    line = (
        np.float32(mouth.y)
        - np.float32(mouth.rise) * np.clip(t * t, 0, 1.3)
        + np.float32(0.007 * p.cupid) * np.exp(-((t / 0.22) ** 2))
    )
    bow = 1 + np.float32(p.cupid) * (
        0.28 * np.exp(-(((np.abs(t) - 0.27) / 0.18) ** 2)) - 0.12 * np.exp(-((t / 0.14) ** 2))
    )
    top = line - np.float32(p.upper_lip) * stretch * inner ** np.float32(0.8) * bow
    floor = line + np.float32(mouth.gap) * inner
    bottom = floor + np.float32(p.lower_lip) * stretch * inner ** np.float32(0.62)
    soft = np.float32(0.016)  # lips have no hard edge
    lips = (
        smoothstep(-0.5, 1.0, (y - top) / soft)
        * smoothstep(-0.5, 1.0, (bottom - y) / soft)
        * smoothstep(1.04, 0.94, np.abs(t))
    )
    tint = np.array([0.78, 0.36, 0.36], np.float32) ** np.float32(0.65 + 0.85 * p.lip_colour)
    relief = np.where(y < line, np.float32(0.78), np.float32(1.0))
    paint.lay(where, dye(skin_colour(p) * tint, relief), lips * np.float32(0.9), shine=0.38)
    if mouth.gap > 0.004:
        hole = (
            np.clip((y - line) * ppu + 0.5, 0, 1)
            * np.clip((floor - y) * ppu + 0.5, 0, 1)
            * smoothstep(1.0, 0.9, np.abs(t))
        )
        paint.lay(where, np.array([0.035, 0.012, 0.010], np.float32), hole, shine=0.1)
        rounded = np.clip(1 - (t / 0.85) ** 2, 0, 1)
        gaps = 1 - 0.22 * np.exp(-(((np.mod(s / 0.052, 1.0) - 0.5) / 0.1) ** 2))
        tooth = dye(TOOTH, gaps * (0.35 + 0.65 * rounded))
        teeth = hole * np.clip((line + 0.062 * rounded - y) * ppu + 0.5, 0, 1)
        paint.lay(where, tooth, teeth * np.float32(0.95), shine=0.4)
    seam = np.exp(-(((y - line) / np.float32(0.0095)) ** 2)) * smoothstep(1.1, 0.92, np.abs(t))
    paint.lay(where, skin_colour(p) * np.array([0.12, 0.05, 0.05], np.float32), seam * np.float32(0.85))
    corner = np.exp(-(((np.abs(t) - 1.0) / 0.07) ** 2) - ((y - line) / np.float32(0.02)) ** 2)
    paint.lay(where, skin_colour(p) * np.float32(0.35), corner * np.float32(0.45))
    mask = np.zeros(chart.shape, np.float32)
    mask[where] = lips
    return mask


def wrinkle_lines(chart: Chart, person: Person, rng: np.random.Generator) -> tuple[Field, Field]:
    """Where the lines of the forehead and those beside the eyes run, (H, W) each, 0 to 1."""
    wobble = 0.02 * cell_noise(rng, chart.shape, (4, 9))
    row = (chart.y[:, None] + wobble) / np.float32(0.085)
    forehead = np.exp(-(((row - np.round(row)) / np.float32(0.13)) ** 2)) * chart.bump(0.0, -0.40, 0.26, 0.085)
    feet = np.exp(-(((np.mod(row * np.float32(2.2), 1.0) - np.float32(0.5)) / np.float32(0.2)) ** 2))
    return forehead, feet * chart.pair(person.eye_spacing + 0.24, person.eye_height + 0.02, 0.05, 0.05)


def wrinkle_relief(lines: tuple[Field, Field], person: Person, expression: Expression) -> Field:
    """Relief (H, W) of those lines: deeper with age, raised brows, a smile."""
    strength = 0.010 * (max(person.age - 0.35, 0.0) + 0.35 * max(expression.brows, 0.0) * person.age)
    forehead, feet = lines
    return np.float32(-strength) * forehead - np.float32(strength * (0.6 + 0.8 * max(expression.smile, 0.0))) * feet
