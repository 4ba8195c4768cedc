"""Hair and beard on the head's chart: where they grow, their colour, and the volume they add."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.synthetic.geometry import Chart, skull_radius
from pipeline_lib.data.synthetic.identity import Person
from pipeline_lib.data.synthetic.noise import Field, blur, cell_noise, dye, smoothstep
from pipeline_lib.data.synthetic.texture import Colour, Paint

BLACK, BROWN = np.array([0.010, 0.008, 0.008], np.float32), np.array([0.075, 0.036, 0.018], np.float32)
BLOND, RED = np.array([0.42, 0.27, 0.12], np.float32), np.array([0.23, 0.065, 0.018], np.float32)
GREY = np.array([0.38, 0.38, 0.39], np.float32)


def hair_colour(person: Person) -> Colour:
    """Mean hair colour (3,), linear: blond to brown to black by melanin, toward red, toward grey with age."""
    dark = np.float32(person.hair_melanin)
    colour = (
        BLOND ** (1 - dark * 2) * BROWN ** (dark * 2)
        if dark < 0.5
        else BROWN ** (2 - 2 * dark) * BLACK ** (2 * dark - 1)
    )
    red = np.float32(0.9 * max(person.hair_red - 0.6, 0.0) / 0.4 * (1 - dark))
    grey = np.float32(max(person.hair_grey, 0.0) * (0.3 + 0.7 * person.age))
    colour = colour + (RED - colour) * red
    return np.asarray(colour + (GREY - colour) * grey, dtype=np.float32)


def length(person: Person) -> float:
    """0 bald, 0.1 to 0.5 short (ears free), above long: men's vectors are read as shorter hair."""
    if person.masculine > 0.5:
        return 0.0 if person.hair_length < 0.12 else 0.1 + 0.42 * person.hair_length
    return 0.3 + 0.7 * person.hair_length


def strands(chart: Chart, person: Person, rng: np.random.Generator) -> Field:
    """Noise (H, W) drawn out along the hair: down the head, bent by waves; unit deviation."""
    height, width = chart.shape
    fine = cell_noise(rng, chart.shape, (7 + int(16 * person.hair_wave), width // 2))
    coarse = cell_noise(rng, chart.shape, (4 + int(14 * person.hair_wave), 40))
    flow = 0.6 * fine + 0.8 * coarse
    wave = (
        9.0
        * person.hair_wave
        * np.sin(chart.y * np.float32(14.0 + 8 * person.hair_wave))
        * np.float32(chart.pixels_per_unit / 110)
    )
    lean = np.float32(0.45 * person.parting) * np.clip(-chart.y - 0.3, 0, None) * np.float32(chart.pixels_per_unit)
    columns = (
        np.arange(width, dtype=np.float32)[None, :] + (wave + lean)[:, None] * (1 + 0.35 * np.sin(chart.s * 5))[None, :]
    )
    rows = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], chart.shape)
    return np.asarray(
        cv2.remap(
            flow,
            columns.astype(np.float32),
            np.ascontiguousarray(rows),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        ),
        np.float32,
    )


def hair_line(chart: Chart, person: Person) -> npt.NDArray[np.float32]:
    """y of the lower edge of the hair at each s, float32 (W,)."""
    p, long = person, length(person)
    front, recede = p.hairline, max(p.hairline_shape, 0.0)
    peak = 0.07 * max(-p.hairline_shape, 0.0)
    knots = [0.0, 0.16, 0.36, 0.54]
    heights = [front + peak, front, front - 0.13 * recede * (0.4 + p.masculine), -0.47 - 0.1 * recede]
    if long == 0.0:
        knots, heights = [0.0, 0.7, 0.82, 0.95], [-1.6, -1.5, -0.5, -0.3]
        knots, heights = [*knots, 1.13, 1.3, 1.5], [*heights, -0.2, 0.35, 0.45]
    elif long < 0.55:
        knots, heights = (
            [*knots, 0.70, 0.80, 0.93, 1.0, 1.2, 1.3, 1.5],
            [*heights, -0.20, 0.12 + 0.2 * (long - 0.3), 0.02, -0.15, -0.12, 0.45, 0.55],
        )
    else:
        edge = 0.68 + 0.16 * (1 - p.hair_volume / 0.17)
        knots, heights = [*knots, edge, edge + 0.07, 1.0, 1.2, 1.5], [*heights, -0.12, 0.3, 0.55, 0.75, 0.8]
    line = np.interp(np.abs(chart.s), knots, heights)
    if long > 0.0 and p.fringe > 0.35:
        hang = (p.fringe - 0.35) / 0.65
        low = p.hairline + 0.10 + 0.26 * hang + 0.22 * p.parting * chart.s
        line = np.where(np.abs(chart.s) < 0.62, np.maximum(line, low), line)
    elif long > 0.0:
        # Hair that is combed over hangs into the forehead on one side of the parting.
        line = line + 0.16 * np.abs(p.parting) * np.clip(np.sign(p.parting) * chart.s * 2, -0.4, 1) * np.exp(
            -((chart.s / 0.45) ** 4)
        )
    sigma = 0.03 * chart.pixels_per_unit
    return np.asarray(cv2.GaussianBlur(line.astype(np.float32)[None, :], (0, 0), sigma)[0], dtype=np.float32)


@dataclass(frozen=True)
class Hair:
    """The hair of a head on its chart: opacity (H, W), colour planes (3, H, W), and the radius (H, W) of its locks."""

    alpha: Field
    colour: Field
    radius: Field

    def cover(self, paint: Paint) -> None:
        """Lay the hair over the skin's colours."""
        paint.lay((slice(None), slice(None)), self.colour, self.alpha, shine=0.16)


def grow_hair(chart: Chart, person: Person, flow: Field) -> Hair:
    """Hair within its line, thinning toward the edge; its hull is a larger skull, ruffled by the locks."""
    p = person
    edge = hair_line(chart, p)[None, :] - chart.y[:, None] + 0.028 * flow
    soft = 0.05
    if length(p) == 0:
        # A wreath round a bald crown, thin at its edge.
        soft = 0.16
        edge = np.minimum(edge, chart.y[:, None] + np.float32(0.55) + 0.028 * flow)
    alpha = smoothstep(-soft, soft, edge)
    alpha *= np.clip(1.02 - 0.25 * smoothstep(0.09, 0.0, np.abs(edge)) * (1 + 0.6 * flow), 0, 1)
    volume = p.hair_volume * (0.5 + 0.9 * length(p)) if length(p) > 0 else 0.012
    hull = skull_radius(chart, p, 0.0, side=0.75 * volume, top=1.15 * volume)
    # Only the larger locks stand out of the outline: single strands would tear it.
    locks = hull + np.float32(0.16 * volume) * blur(flow, 0.03 * chart.pixels_per_unit) * np.clip(
        hull / np.float32(0.35), 0, 1
    )
    skin = skull_radius(chart, p, 0.0, side=0.0, top=0.0)
    radius = skin + np.maximum(locks - skin, 0.0) * smoothstep(0.0, 0.24, edge)
    shade = np.exp(0.42 * flow - 0.1) * (0.6 + 0.4 * smoothstep(0.0, 0.3, edge))
    return Hair(alpha, dye(hair_colour(p), shade), radius * (alpha > 0))


def grow_beard(
    chart: Chart, person: Person, lips: Field, mouth_y: float, flow: Field, grain: Field, paint: Paint
) -> Field:
    """Lay stubble or beard and moustache on a man's face; returns the relief (H, W) they add.

    `flow` and `grain` (H, W) are the person's noise; `lips` is the mask where nothing grows.
    """
    p = person
    if p.masculine <= 0.5 or max(p.beard, p.moustache) <= 0.0:
        return np.zeros(chart.shape, np.float32)
    side = np.abs(chart.s)
    cheek = np.interp(
        side,
        [0.0, 0.2, 0.42, 0.62, 0.78, 0.9, 1.5],
        [mouth_y + 0.02, mouth_y - 0.01, mouth_y - 0.1, 0.42, 0.1, 0.3, 1.2],
    )
    down = chart.y[:, None] - cheek.astype(np.float32)[None, :] + 0.02 * flow
    beard = smoothstep(-0.04, 0.10, down) * (side < 0.95)[None, :]
    lip_y = p.nose_length + 0.11
    above = smoothstep(lip_y - 0.02, lip_y + 0.03, chart.y) * smoothstep(mouth_y + 0.05, mouth_y - 0.01, chart.y)
    moustache = above[:, None] * smoothstep(p.mouth_width + 0.05, p.mouth_width - 0.04, side)[None, :]
    density = np.maximum(
        beard * np.float32(max(p.beard, 0.0)), moustache * np.float32(max(p.moustache, 0.5 * p.beard, 0.0))
    )
    density *= 1 - smoothstep(0.1, 0.7, lips)
    alpha = np.clip(1.35 * density**0.8 * (0.82 + 0.22 * grain + 0.1 * flow), 0, 0.94)
    paint.lay((slice(None), slice(None)), dye(hair_colour(p), np.exp(0.3 * grain + 0.15 * flow)), alpha, shine=0.05)
    return np.asarray(0.045 * density + 0.006 * density * grain, dtype=np.float32)
