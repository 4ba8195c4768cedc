"""The head as a surface around its vertical axis: radius r(φ, y), and where a camera's rays meet it.

Head frame: x right as in the picture, y down, z toward the camera, zero between the eyes on the axis. A surface point is
(r sin φ, y, r cos φ). The chart unrolls it: s = 0.75 φ, so that near the middle of the face one s is about one x. Camera
frame: the same directions; camera = R head, parallel projection.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.synthetic.identity import Person
from pipeline_lib.data.synthetic.noise import Field, smoothstep

Rotation = npt.NDArray[np.float32]
AXIS_RADIUS = 0.75
S_LIMIT = 1.45
Y_TOP, Y_BOTTOM = -1.4, 1.25
NOTHING = -0.15  # the radius where there is no head: below zero, so that no ray along the axis meets it
NUM_COARSE_STEPS, NUM_FINE_STEPS = 10, 3


@dataclass(frozen=True)
class Expression:
    """What a face does in one photograph. All about zero at rest; `gaze` in s and y of the iris."""

    smile: float = 0.0  # -0.4 (sullen) to 1
    mouth_open: float = 0.0  # 0 to 1
    brows: float = 0.0  # -1 (frown) to 1 (raised)
    lids: float = 0.0  # -0.35 (wide) to 0.5 (narrowed)
    gaze: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Chart:
    """The unrolled surface as a pixel grid: s (W,) along the columns, y (H,) along the rows, in head units."""

    pixels_per_unit: float
    s: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return len(self.y), len(self.s)

    def bump(self, s: float, y: float, sigma_s: float, sigma_y: float) -> Field:
        """exp(-((s - s0)/σs)²/2 - ((y - y0)/σy)²/2) on the whole chart."""
        along = np.exp(-0.5 * ((self.s - np.float32(s)) / np.float32(sigma_s)) ** 2)
        down = np.exp(-0.5 * ((self.y - np.float32(y)) / np.float32(sigma_y)) ** 2)
        return np.asarray(down[:, None] * along[None, :], dtype=np.float32)

    def pair(self, s: float, y: float, sigma_s: float, sigma_y: float) -> Field:
        """The bump at (s, y) and its mirror image at (-s, y)."""
        left = np.exp(-0.5 * ((self.s + np.float32(s)) / np.float32(sigma_s)) ** 2)
        right = np.exp(-0.5 * ((self.s - np.float32(s)) / np.float32(sigma_s)) ** 2)
        down = np.exp(-0.5 * ((self.y - np.float32(y)) / np.float32(sigma_y)) ** 2)
        return np.asarray(down[:, None] * (left + right)[None, :], dtype=np.float32)

    def window(self, s0: float, s1: float, y0: float, y1: float) -> tuple[slice, slice]:
        """(rows, columns) of the rectangle; index fields with it to draw a feature without touching the rest."""
        columns, rows = np.searchsorted(self.s, (s0, s1)), np.searchsorted(self.y, (y0, y1))
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


def make_chart(pixels_per_unit: float) -> Chart:
    """The chart of |s| <= 1.45 (φ to ±111°), y in [-1.4, 1.25]."""
    width = round(2 * S_LIMIT * pixels_per_unit) + 1
    height = round((Y_BOTTOM - Y_TOP) * pixels_per_unit) + 1
    s = np.linspace(-S_LIMIT, S_LIMIT, width, dtype=np.float32)
    return Chart(pixels_per_unit, s, np.linspace(Y_TOP, Y_BOTTOM, height, dtype=np.float32))


def rotation(yaw: float, pitch: float, roll: float) -> Rotation:
    """Head to camera, float32 (3, 3); radians; yaw > 0 looks right, pitch > 0 down, roll > 0 leans to the right, as seen."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    lean = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(lean @ nod @ turn, dtype=np.float32)


def skull_radius(chart: Chart, person: Person, mouth_open: float, side: float, top: float) -> Field:
    """The head without features: slices are superellipses of half width w(y) and half depth d(y).

    r = ((|sin φ|/w)^n + (|cos φ|/d)^n)^(-1/n), n = 2.3. Above the temples w and d follow an ellipse, below them the jaw line
    w = w0 (1 - taper t) √(1 - t^p), t from the temples to the chin. `side` and `top` enlarge it (the hull
    of the hair). Float32 (H, W), zero above the crown and below the chin.
    """
    n, level = 2.3, -0.15
    y, phi = chart.y.astype(np.float64), chart.s.astype(np.float64) / AXIS_RADIUS
    chin = person.chin + 0.07 * mouth_open
    above = np.clip((level - y) / (person.crown + top + level), 0.0, 1.0)
    below = np.clip((y - level) / (chin - level), 0.0, 1.0)
    width = (
        (person.head_width + side)
        * np.sqrt(1 - above**2.1)
        * (1 - person.jaw_taper * below)
        * np.sqrt(1 - below**person.jaw_square)
    )
    hollow = np.exp(-0.5 * ((y - 0.5) / 0.2) ** 2)
    width *= 1 + person.cheek_fullness * hollow
    forward = person.jaw_forward * smoothstep(0.3, 0.95, chart.y)
    depth = (person.head_depth + side) * (1 - 0.07 * below) * np.sqrt(1 - above**2.5) * np.sqrt(
        1 - below**11
    ) + forward * (below < 1)
    with np.errstate(divide="ignore"):
        across = (1 / np.maximum(width, 1e-3) ** n).astype(np.float32)[:, None] * (np.abs(np.sin(phi)) ** n).astype(
            np.float32
        )[None, :]
        # Behind the ears the slice goes on as an ellipse of the same depth: nothing of it is seen but the outline.
        along = (1 / np.maximum(depth, 1e-3) ** n).astype(np.float32)[:, None] * (np.abs(np.cos(phi)) ** n).astype(
            np.float32
        )[None, :]
    radius = (across + along) ** np.float32(-1 / n)
    # Crown and chin close over some rows of the chart, as cones: a step between two rows would show as saw teeth.
    closing = np.maximum(np.minimum(6 * (chin - y), 6 * (y + person.crown + top)), 0.0).astype(np.float32)
    return np.minimum(radius, closing[:, None])


def still_relief(chart: Chart, person: Person) -> Field:
    """What the features that do not move add to the skull's radius: brow ridge, sockets, nose, cheekbones, ears; (H, W)."""
    p, y, s = person, chart.y, chart.s
    male = np.float32(0.5 + p.masculine)
    eye = p.eye_height
    out = p.brow_ridge * male * chart.pair(0.27, eye - 0.17, 0.17, 0.06)
    out += 0.5 * p.brow_ridge * male * chart.bump(0.0, eye - 0.16, 0.1, 0.06)
    out -= p.eye_depth * chart.pair(p.eye_spacing - 0.03, eye - 0.01, 0.15, 0.085)
    out -= 0.05 * chart.pair(0.16, eye - 0.02, 0.06, 0.08)
    out += 0.035 * chart.pair(p.eye_spacing, eye, 0.085, 0.055)
    out -= 0.018 * p.eye_bag * chart.pair(p.eye_spacing - 0.02, eye + 0.12, 0.1, 0.022)
    # The nose: a ridge that rises from between the eyes to the tip, a ball at the tip, two wings, the step below them.
    tip, wing = p.nose_length, p.nose_width
    rise = np.clip((y - (eye - 0.1)) / (tip - eye + 0.1), 0.0, 1.0)
    hump = p.nose_hump * np.exp(-0.5 * ((y - (0.45 * tip + 0.55 * eye)) / 0.08) ** 2)
    profile = p.nose_height * (0.16 + 0.84 * rise**1.25) * smoothstep(eye - 0.2, eye - 0.02, y) + hump
    spread = np.float32(p.nose_bridge) * (1.0 + 0.55 * rise)
    # Seen from the front the lower edge hangs down in the middle and rises toward the wings.
    lower_edge = np.asarray(np.float32(tip + 0.065) - 0.35 * np.abs(s)[None, :] - y[:, None], dtype=np.float32)
    out += profile[:, None] * np.exp(-0.5 * (s[None, :] / spread[:, None]) ** 2) * smoothstep(-0.085, 0.065, lower_edge)
    out += 0.22 * p.nose_height * chart.bump(0.0, tip - 0.005, p.nose_tip, 0.055)
    out += 0.36 * p.nose_height * chart.pair(wing - 0.045, tip + 0.025, 0.042, 0.045)
    out -= 0.02 * chart.pair(wing + 0.03, tip + 0.02, 0.025, 0.05)
    out += p.cheekbone * chart.pair(0.5, eye + 0.22, 0.15, 0.1)
    out += 0.05 * chart.bump(0.0, tip + p.mouth_drop, 0.3, 0.16)
    out -= 0.012 * chart.bump(0.0, tip + 0.04 + 0.5 * p.mouth_drop, 0.018, 0.05)
    ear_s, ear_y = 1.13, 0.1
    out += p.ear_stand * smoothstep(0.25, 0.75, chart.pair(ear_s, ear_y, 0.085, p.ear_size * 0.75))
    out -= 0.06 * chart.pair(ear_s - 0.02, ear_y, 0.035, p.ear_size * 0.4)
    return np.asarray(out, dtype=np.float32)


def moving_relief(chart: Chart, person: Person, expression: Expression) -> Field:
    """What the mouth and what moves with it add to the radius, float32 (H, W): cheeks, the fold beside the mouth, lips, chin."""
    p, y, s, smile = person, chart.y, chart.s, expression.smile
    tip, mouth = p.nose_length, mouth_shape(person, expression)
    out = 0.05 * max(smile, 0.0) * chart.pair(0.4, tip, 0.12, 0.1)
    depth = np.float32(0.022 * (0.25 + p.fold * (0.5 + 0.5 * p.age) + 0.7 * max(smile, 0.0)))
    along = np.clip((y - tip) / (mouth.y - tip), -0.3, 1.3)
    crease = p.nose_width + 0.045 + (mouth.width + 0.05 - p.nose_width) * along
    fade = smoothstep(-0.25, 0.2, along) * (1.0 - smoothstep(0.8, 1.25, along))
    out -= depth * fade[:, None] * np.exp(-0.5 * ((np.abs(s)[None, :] - crease[:, None]) / 0.028) ** 2)
    out += (0.35 * p.upper_lip + 0.012) * chart.bump(0.0, mouth.y - 0.55 * p.upper_lip, 0.55 * mouth.width, 0.03)
    out += (0.4 * p.lower_lip + 0.012) * chart.bump(
        0.0, mouth.y + mouth.gap + 0.5 * p.lower_lip, 0.5 * mouth.width, 0.034
    )
    out -= 0.03 * chart.bump(0.0, mouth.y + mouth.gap + p.lower_lip + 0.05, 0.17, 0.03)
    out += p.chin_knob * chart.bump(0.0, p.chin - 0.12 + 0.07 * expression.mouth_open, 0.15, 0.09)
    out -= max(p.chin_cleft, 0.0) * chart.bump(0.0, p.chin - 0.11, 0.02, 0.05)
    return np.asarray(out, dtype=np.float32)


@dataclass(frozen=True)
class MouthShape:
    """The mouth in one photograph, chart units: y of the line between the lips, half width, opening, rise of the corners."""

    y: float
    width: float
    gap: float
    rise: float


def mouth_shape(person: Person, expression: Expression) -> MouthShape:
    """Where expression puts the mouth: a smile widens it, draws it up and lifts its corners."""
    smile = expression.smile
    return MouthShape(
        y=person.nose_length + person.mouth_drop - 0.012 * smile,
        width=person.mouth_width * (1 + 0.2 * max(smile, 0.0) - 0.05 * expression.mouth_open),
        gap=0.15 * expression.mouth_open + 0.02 * max(smile - 0.5, 0.0),
        rise=0.012 + 0.065 * smile,
    )


def surface_points(chart: Chart, radius: Field, s: Field, y: Field) -> Field:
    """Head-frame points (..., 3) of chart places, radius taken bilinearly."""
    u = (np.float32(s) + np.float32(S_LIMIT)) * np.float32(chart.pixels_per_unit)
    v = (np.float32(y) - np.float32(Y_TOP)) * np.float32(chart.pixels_per_unit)
    r = cv2.remap(
        radius, np.atleast_2d(u).astype(np.float32), np.atleast_2d(v).astype(np.float32), cv2.INTER_LINEAR
    ).reshape(np.shape(u))
    phi = np.float32(s) / np.float32(AXIS_RADIUS)
    return np.stack([r * np.sin(phi), np.broadcast_to(np.float32(y), r.shape), r * np.cos(phi)], axis=-1).astype(
        np.float32
    )


def surface_normals(chart: Chart, radius: Field) -> Field:
    """Unit outward normals in the head frame, float32 (H, W, 3): n ∝ e_r - (∂r/∂φ / r) e_φ - (∂r/∂y) e_y."""
    ppu = np.float32(chart.pixels_per_unit)
    d_phi = cv2.Scharr(radius, cv2.CV_32F, 1, 0, scale=1 / 32) * ppu * np.float32(AXIS_RADIUS)
    d_y = cv2.Scharr(radius, cv2.CV_32F, 0, 1, scale=1 / 32) * ppu
    tangent = d_phi / np.maximum(radius, 0.05)
    phi = chart.s[None, :] / np.float32(AXIS_RADIUS)
    sin, cos = np.sin(phi), np.cos(phi)
    length = np.float32(1.0) / np.sqrt(1 + tangent * tangent + d_y * d_y)
    return np.asarray(
        cv2.merge([(sin - tangent * cos) * length, -d_y * length, (cos + tangent * sin) * length]), dtype=np.float32
    )


def meet_rays(chart: Chart, radius: Field, turn: Rotation, x: Field, y: Field) -> tuple[Field, Field, Field]:
    """Where parallel rays through camera places (x, y) meet the surface.

    Secant steps in depth on ρ - r(φ, y), started in front of the head. Far from the surface the slope is held above 0.85, so that
    no step jumps over an ear; near it above 0.35, so that a ray that grazes the outline walks past. The first steps are taken for
    every second ray of every second row.

    Args:
        chart, radius: the surface, float32 (H, W).
        turn: head to camera, (3, 3).
        x, y: camera places in head units, float32 (h, w), a regular grid.

    Returns:
        Chart columns and rows in pixels, and the smallest distance between ray and surface seen, in head units (<= 0: it hits).
    """
    solid = np.asarray(radius + np.float32(NOTHING) * (radius <= 0), dtype=np.float32)
    height, width = x.shape
    few_x, few_y = (
        cv2.resize(grid, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA) for grid in (x, y)
    )
    z = np.sqrt(np.clip(1 - (few_x / np.float32(0.9)) ** 2 - (few_y / np.float32(1.3)) ** 2, 0.03, None))
    start = np.asarray(np.float32(0.88) * z + np.float32(0.25), dtype=np.float32)
    found = _walk(chart, solid, turn, few_x, few_y, start, NUM_COARSE_STEPS)
    start, nearest = (cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR) for field in found)
    z, seen = _walk(chart, solid, turn, x, y, start, NUM_FINE_STEPS)
    _, u, v = _chart_places(chart, turn, x, y, z)
    return u, v, np.minimum(seen, np.maximum(nearest, np.float32(0.0)))


def _walk(
    chart: Chart, solid: Field, turn: Rotation, x: Field, y: Field, z: Field, num_steps: int
) -> tuple[Field, Field]:
    """`num_steps` steps from depth `z`: the depth where the ray was closest to the surface, and how close."""
    nearest = np.full(x.shape, 9.0, np.float32)
    closest = z.copy()
    previous_gap = step = nearest
    for index in range(num_steps):
        rho, u, v = _chart_places(chart, turn, x, y, z)
        gap = rho - cv2.remap(solid, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=NOTHING)
        # Once inside, the last step is the most exact one; outside, the one that came closest.
        np.copyto(closest, z, where=gap < np.maximum(nearest, np.float32(0.003)))
        nearest = np.minimum(nearest, gap)
        if index == 0:
            step = np.float32(-0.8) * gap
        else:
            slope = (gap - previous_gap) / (step + np.float32(1e-5) * (np.abs(step) < 1e-5))
            slope = np.minimum(np.maximum(slope, np.float32(0.35) + np.float32(0.5) * (gap > 0.04)), np.float32(4.0))
            step = np.clip(-gap / slope, -0.25, 0.25)
        z = z + step
        previous_gap = gap
    return closest, nearest


def _chart_places(chart: Chart, turn: Rotation, x: Field, y: Field, z: Field) -> tuple[Field, Field, Field]:
    """Distance from the head's axis, chart column and row of camera points."""
    ppu = chart.pixels_per_unit
    forward = turn[0, 2] * x + turn[1, 2] * y + turn[2, 2] * z
    right = turn[0, 0] * x + turn[1, 0] * y + turn[2, 0] * z
    # Measured from the back of the head, the angle runs from 0 to 2π without a jump on the face.
    rho, phi = cv2.cartToPolar(-forward, right)
    u = np.float32((np.pi * AXIS_RADIUS + S_LIMIT) * ppu) - phi * np.float32(AXIS_RADIUS * ppu)
    u = np.clip(u, 0, len(chart.s) - 1)  # the chart's margins stand for the back of the head
    down = turn * np.float32(ppu)
    v = down[0, 1] * x + down[1, 1] * y + down[2, 1] * z - np.float32(Y_TOP * ppu)
    return rho, u, v
