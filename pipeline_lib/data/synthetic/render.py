"""One synthetic photograph from identities and a random generator: head, hair, body, background, camera."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.synthetic.geometry import (
    Chart,
    Expression,
    Rotation,
    meet_rays,
    mouth_shape,
    moving_relief,
    rotation,
    skull_radius,
    surface_points,
)
from pipeline_lib.data.synthetic.hair import grow_beard, hair_colour
from pipeline_lib.data.synthetic.identity import Person, Vector
from pipeline_lib.data.synthetic.light import Light, sample_light, shade
from pipeline_lib.data.synthetic.noise import Field
from pipeline_lib.data.synthetic.scene import (
    Picture,
    Placement,
    paint_background,
    paint_body,
    paint_long_hair,
    take_photograph,
)
from pipeline_lib.data.synthetic.subject import make_subject
from pipeline_lib.data.synthetic.texture import paint_brows, paint_eyes, paint_mouth, wrinkle_relief

CHART_DENSITY = (
    80 / 250
)  # chart pixels per head unit, per pixel of the picture's side: about one chart pixel a picture pixel


@dataclass(frozen=True)
class TrueFace:
    """Where a rendered face is, in pixels of the photograph.

    box: float32 (4,) x0 y0 x1 y1 of the face from above the brows to the chin, clipped to the picture.
    landmarks: float32 (5, 2), left eye, right eye, tip of the nose, left and right mouth corner, as seen in the picture.
    """

    box: npt.NDArray[np.float32]
    landmarks: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Pose:
    turn: Rotation
    place: Placement


def render_photo(
    identities: Sequence[Vector], rng: np.random.Generator, size_px: int
) -> tuple[Picture, list[TrueFace]]:
    """Render a square photograph of nobody, one person or two.

    Args:
        identities: 0, 1 or 2 vectors, float32 (NUM_PARAMETERS,), values in [0, 1].
        rng: draws everything that is not the person: pose, light, expression, scale, background, clothes, blur, noise.
        size_px: side of the picture.

    Returns:
        uint8 RGB (size_px, size_px, 3), and one true face an identity, in their order.

    Raises:
        ValueError: more than two identities, or a vector of another shape or range.
    """
    if len(identities) > 2:
        raise ValueError(f"a photograph holds at most two people, got {len(identities)}")
    light = sample_light(rng)
    picture = paint_background(rng, size_px, defocus=rng.uniform(0.15, 1.0))
    picture *= (light.ambient + np.float32(0.6) * light.key)[:, None, None]
    faces: list[TrueFace] = []
    levels: list[float] = []
    for index, identity in enumerate(identities):
        pose = _sample_pose(rng, size_px, index, len(identities))
        face, level = _add_head(picture, identity, pose, _sample_expression(rng), light, rng)
        faces.append(face)
        levels.append(level)
    return take_photograph(picture, rng, float(np.mean(levels)) if levels else None), faces


def _sample_pose(rng: np.random.Generator, size_px: int, index: int, num_people: int) -> _Pose:
    """One person stands near the middle and may turn; two stand side by side, smaller, and turn less."""
    calm = 1.0 if num_people == 1 else 0.5
    yaw = float(np.clip(rng.normal(0.0, 0.22 * calm), -0.42, 0.42))
    pitch = float(np.clip(rng.normal(0.02, 0.11 * calm), -0.22, 0.24))
    roll = float(np.clip(rng.normal(0.0, 0.085 * calm), -0.22, 0.22))
    if num_people == 1:
        unit = rng.uniform(62, 84) * size_px / 250
        x, y = size_px * (0.5 + rng.normal(0, 0.018)), size_px * (0.47 + rng.normal(0, 0.018))
    else:
        unit = rng.uniform(55, 61) * size_px / 250
        x, y = size_px * (0.27 + 0.46 * index + rng.normal(0, 0.01)), size_px * (0.45 + rng.normal(0, 0.03))
    return _Pose(rotation(yaw, pitch, roll), Placement(x, y, unit, 0.5 * roll))


def _sample_expression(rng: np.random.Generator) -> Expression:
    smile = float(np.clip(rng.normal(0.3, 0.40), -0.4, 1.0))
    return Expression(
        smile=smile,
        mouth_open=float(max(rng.normal(-0.25, 0.35), 0.0)) if rng.random() < 0.8 else float(rng.uniform(0.2, 0.7)),
        brows=float(np.clip(rng.normal(0.05, 0.4), -1, 1)),
        lids=float(np.clip(rng.normal(0.0, 0.14), -0.3, 0.4)),
        gaze=(float(rng.normal(0, 0.016)), float(rng.normal(0, 0.006))),
    )


def _add_head(
    picture: Field, identity: Vector, pose: _Pose, expression: Expression, light: Light, rng: np.random.Generator
) -> tuple[TrueFace, float]:
    """Render one person into the linear picture, in place; returns the true face and the level to expose for."""
    size = picture.shape[1]
    subject = make_subject(identity, pixels_per_unit=CHART_DENSITY * size)
    person, chart, skull = subject.person, subject.chart, subject.skull
    turn, place = pose.turn, pose.place
    if expression.mouth_open > 0:
        skull = skull_radius(chart, person, expression.mouth_open, side=0.0, top=0.0)
    paint = subject.skin.copy()
    lips = paint_mouth(chart, person, expression, paint)
    to_light = turn.T @ light.direction
    paint_eyes(chart, person, expression, (float(np.sign(to_light[0])), float(np.sign(to_light[1]))), paint)
    paint_brows(chart, person, expression, hair_colour(person), subject.brow_hairs, paint)
    relief = (
        subject.relief + moving_relief(chart, person, expression) + wrinkle_relief(subject.lines, person, expression)
    )
    relief += grow_beard(chart, person, lips, mouth_shape(person, expression).y, subject.flow, subject.grain, paint)
    skin_radius = skull + relief * np.clip(skull / np.float32(0.35), 0, 1)
    subject.hair.cover(paint)
    radius = np.maximum(skin_radius, subject.hair.radius)
    received, mirrored = shade(chart, radius, turn, light, paint.shine)
    lit = paint.colour * received + mirrored
    middle = chart.window(-0.4, 0.4, -0.4, 0.9)
    # The camera sets itself half by the light on the face and half by the face: dark skin stays darker, but not lost.
    level = float(np.sqrt(0.3 * received[:, *middle].mean() * lit[:, *middle].mean()))

    axis = turn @ np.array([0.0, 0.9, -0.1], np.float32)
    paint_long_hair(person, place, float(axis[0]), light, rng, picture, front=False)
    paint_body(person, place, float(axis[0]), light, rng, picture)
    _lay_head(picture, lit, chart, radius, turn, place)
    paint_long_hair(person, place, float(axis[0]), light, rng, picture, front=True)
    return _true_face(chart, skin_radius, person, expression, pose, size), level


def _lay_head(picture: Field, lit: Field, chart: Chart, radius: Field, turn: Rotation, place: Placement) -> None:
    """Draw the lit chart as the camera sees it, in place, with an outline softened over about a pixel."""
    size, unit = picture.shape[1], place.unit_px
    x0, x1 = max(0, int(place.x - 1.3 * unit)), min(size, int(place.x + 1.3 * unit) + 1)
    y0, y1 = max(0, int(place.y - 1.55 * unit)), min(size, int(place.y + 1.35 * unit) + 1)
    x = (np.arange(x0, x1, dtype=np.float32) + np.float32(0.5 - place.x)) / np.float32(place.unit_px)
    y = (np.arange(y0, y1, dtype=np.float32) + np.float32(0.5 - place.y)) / np.float32(place.unit_px)
    grid_x, grid_y = np.meshgrid(x, y)
    u, v, nearest = meet_rays(chart, radius, turn, grid_x, grid_y)
    head = cv2.split(cv2.remap(cv2.merge(list(lit)), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    alpha = np.clip(1.0 - nearest * np.float32(place.unit_px) / np.float32(1.2), 0.0, 1.0)
    for plane, seen in zip(picture[:, y0:y1, x0:x1], head, strict=True):
        plane += (seen - plane) * alpha


def _true_face(
    chart: Chart, radius: Field, person: Person, expression: Expression, pose: _Pose, size_px: int
) -> TrueFace:
    mouth = mouth_shape(person, expression)
    corner_y = mouth.y - 0.92 * mouth.rise + 0.006
    eye_y = person.eye_height - 0.2 * person.eye_open  # the upper lid arches higher than the lower one hangs
    places = np.array(
        [
            [-person.eye_spacing, eye_y],
            [person.eye_spacing, eye_y],
            [0.0, person.nose_length - 0.02],
            [-0.96 * mouth.width, corner_y],
            [0.96 * mouth.width, corner_y],
        ],
        np.float32,
    )
    landmarks = _project(surface_points(chart, radius, places[:, 0], places[:, 1]), pose)
    top, chin = person.eye_height - person.brow_gap - 0.12, person.chin + 0.07 * expression.mouth_open - 0.02
    s, y = np.meshgrid(np.linspace(-1.0, 1.0, 21, dtype=np.float32), np.linspace(top, chin, 17, dtype=np.float32))
    outline = _project(surface_points(chart, radius, s, y).reshape(-1, 3), pose)
    box = np.clip(np.concatenate([outline.min(axis=0), outline.max(axis=0)]), 0, size_px).astype(np.float32)
    return TrueFace(box, landmarks)


def _project(points: Field, pose: _Pose) -> npt.NDArray[np.float32]:
    """Head-frame points (N, 3) to pixels (N, 2); whole numbers are the middles of pixels, as OpenCV and dlib count."""
    camera = points @ pose.turn.T
    centre = np.array([pose.place.x, pose.place.y], np.float32)
    return (camera[:, :2] * np.float32(pose.place.unit_px) + centre - np.float32(0.5)).astype(np.float32)
