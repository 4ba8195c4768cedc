"""A user's own mask, or whatever else lies on a face: a picture with transparency, and where its anchor points go."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.kinds import checked
from pipeline_lib.data.occlusion.canvas import Canvas, Plane, Points
from pipeline_lib.data.occlusion.frame import FaceFrame, face_frame
from pipeline_lib.data.occlusion.light import pixel_grid, scene_light
from pipeline_lib.data.occlusion.mask_parts import bridge
from pipeline_lib.data.photos.photo import PhotoError, decode_cutout
from pipeline_lib.data.photos.place import Place, read_photo
from pipeline_lib.params.occlude import COMBINED, TEMPLATE
from pipeline_lib.params.section import Section

MAX_PIXELS = 4_000_000
MAX_JSON_BYTES = 100_000
LARGEST_SIDE_PX = 512  # a face has 112: a larger picture is shrunk when it is read
SMALLEST_SPREAD_PX = 2.0  # of anchors in the picture, across the line that they are nearest to
LOOSE = 0.015  # how far anchors stray from one drawing to the next, in units of the face's scale

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
# Points that no landmark shows: (a, p) of the face frame (frame.py). Left and right as seen in the picture.
PLACES = {
    "bridge": (0.0, 0.24),
    "left_cheek": (-0.93, 0.46),
    "right_cheek": (0.93, 0.46),
    "left_jaw": (-0.88, 1.16),
    "right_jaw": (0.88, 1.16),
    "chin": (0.0, 1.74),
    "left_temple": (-1.05, 0.0),
    "right_temple": (1.05, 0.0),
    "forehead": (0.0, -0.8),
}
ANCHORS = (*LANDMARKS, *PLACES)


class Template(NamedTuple):
    """float32 (H, W, 4), RGB 0..255 times alpha, and alpha 0..1; names of ANCHORS, and float64 (N, 2) their px in it."""

    picture: Plane
    names: tuple[str, ...]
    points: npt.NDArray[np.float64]

    def digest(self) -> str:
        """Hex SHA-256 of all of it."""
        anchors = repr((self.names, self.points.tolist(), self.picture.shape)).encode()
        return hashlib.sha256(anchors + self.picture.tobytes()).hexdigest()


class AnchorFile(Section):
    """`anchors`: name -> x, y in px of the picture, its upper left corner at 0, 0; three or more that do not lie in one line."""

    anchors: dict[str, tuple[float, float]] = Field(min_length=3)


def load_templates(folder: Path, kinds: Sequence[str]) -> dict[str, Template]:
    """The templates that `kinds` name, by kind: of `template_shield` folder/shield.png and folder/shield.json.

    Raises:
        DataError: a file is missing, too large or damaged, nothing of the picture is opaque, or its anchors are too few, of
            unknown names, outside the picture or in one line; names the file.
        ParamsError: the JSON has other keys.
    """
    parts = sorted({part for kind in kinds for part in kind.split(COMBINED) if part.startswith(TEMPLATE)})
    return {part: load_template(folder / part.removeprefix(TEMPLATE)) for part in parts}


def load_template(stem: Path) -> Template:
    """One template: stem.png and stem.json; see load_templates."""
    path, about = stem.with_suffix(".png"), stem.with_suffix(".json")
    try:
        rgba = decode_cutout(read_photo(Place(path), MAX_PIXELS), MAX_PIXELS)
    except PhotoError as error:
        raise DataError("A template's picture cannot be used.", got=error.detail, where=path) from error
    if int(rgba[..., 3].max()) < 255:
        raise DataError(
            "A template has no opaque pixel.", got=f"alpha up to {rgba[..., 3].max()}", allowed=255, where=path
        )
    if about.is_file() and about.stat().st_size > MAX_JSON_BYTES:
        raise DataError("A template's anchors take too many bytes.", allowed=MAX_JSON_BYTES, where=about)
    anchors = checked(AnchorFile, read_json(about), about).anchors
    if unknown := sorted(set(anchors) - set(ANCHORS)):
        raise DataError(
            "A template's anchor is no point of a face.", got=unknown[0], allowed=", ".join(ANCHORS), where=about
        )
    height, width = rgba.shape[:2]
    points = np.array(list(anchors.values()), np.float64)
    if not ((points >= 0) & (points <= (width, height))).all():  # NaN is not, either
        raise DataError(
            "A template's anchor lies outside its picture.", got=anchors, allowed=f"{width} x {height} px", where=about
        )
    if np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[1] < SMALLEST_SPREAD_PX:
        raise DataError("A template's anchors lie in one line, which places no picture.", got=anchors, where=about)
    picture = rgba.astype(np.float32)
    picture[..., 3:] /= 255
    picture[..., :3] *= picture[..., 3:]
    small, points = _shrunk(picture, points, min(1.0, LARGEST_SIDE_PX / max(height, width)))
    return Template(small, tuple(anchors), points)


def draw_template(
    image: npt.NDArray[np.uint8], landmarks: npt.ArrayLike, template: Template, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    """Lay a template on a face, bent so that each of its anchors lies on the face's own point, in the photograph's light.

    Args:
        image: uint8 RGB (112, 112, 3), aligned.
        landmarks: (5, 2) pixels in it.
        template: see load_templates.
        rng: how far the anchors stray.

    Returns:
        The picture, and {"parts": [{part, points: where the anchors lie}], "anchors": their names}.

    Raises:
        DataError: the landmarks are not five finite points.
    """
    canvas, frame = Canvas(image), face_frame(landmarks)
    targets = face_points(frame, landmarks, template.names).astype(np.float64)
    targets += LOOSE * frame.scale_px * rng.uniform(-1, 1, targets.shape)
    finer = _spread(template.points) / max(_spread(targets), 1.0)
    picture, points = _shrunk(template.picture, template.points, min(1.0, 1.0 / finer))
    from_face = bend(targets, points - 0.5)  # corners of the picture at whole numbers, centres of pixels for cv2
    grid = pixel_grid((image.shape[0], image.shape[1]))
    places = from_face(grid.reshape(-1, 2)).reshape(grid.shape).astype(np.float32)
    # Constant 0: what lies beside the picture is transparent. cv2 takes at most 32767 px, far outside of any picture.
    x, y = np.moveaxis(np.clip(places, -1e4, 1e4), -1, 0)
    laid = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    canvas.lay("template", laid, targets, texture=scene_light(image, frame))
    return canvas.image(), {"parts": canvas.parts, "anchors": list(template.names)}


def face_points(frame: FaceFrame, landmarks: npt.ArrayLike, names: Sequence[str]) -> Points:
    """Where points of ANCHORS lie on a face: float32 (N, 2) px. What lies on the midline follows the nose when a head turns."""
    marks = dict(zip(LANDMARKS, np.asarray(landmarks, np.float32), strict=True))
    middle = bridge(frame)
    on_face = {name: (a + middle * (1 - abs(a)) if p < 1 else a, p) for name, (a, p) in PLACES.items()}
    return np.stack([marks[name] if name in marks else frame.to_image([on_face[name]])[0] for name in names])


def bend(sources: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]) -> "ThinPlate":
    """The thin-plate spline (Bookstein 1989, eq. 1 to 8) that takes each source exactly to its target.

        f(x) = A (1, x) + Σ_i w_i U(|x - s_i|),  U(r) = r² log r²,  Σ w_i = 0,  Σ w_i s_i = 0

    the least bent of all such maps; three points are joined by the affine map, w = 0. Sources in one line or in one place, which
    fix no map, give the smallest solution (least squares).

    Args:
        sources, targets: (N, 2) px, N >= 3.
    """
    num = len(sources)
    system = np.zeros((num + 3, num + 3))
    system[:num, :num] = _plate(sources, sources)
    system[:num, num:] = np.c_[np.ones(num), sources]
    system[num:, :num] = system[:num, num:].T
    weights = np.linalg.lstsq(system, np.r_[targets, np.zeros((3, 2))], rcond=None)[0]
    return ThinPlate(sources, np.asarray(weights, np.float64))


class ThinPlate(NamedTuple):
    """See bend: sources (N, 2), weights (N + 3, 2)."""

    sources: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]

    def __call__(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(M, 2) px -> (M, 2) px."""
        at = np.asarray(points, np.float64)
        bent: npt.NDArray[np.float64] = np.c_[_plate(at, self.sources), np.ones(len(at)), at] @ self.weights
        return bent


def _plate(points: npt.NDArray[np.float64], sources: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    squared = ((points[:, None] - sources) ** 2).sum(axis=2)
    plate: npt.NDArray[np.float64] = squared * np.log(np.maximum(squared, 1e-12))
    return plate


def _spread(points: npt.NDArray[np.float64]) -> float:
    """Root mean square distance of points from their middle, px."""
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _shrunk(picture: Plane, points: npt.NDArray[np.float64], scale: float) -> tuple[Plane, npt.NDArray[np.float64]]:
    """A picture made smaller by area averaging, so that none of it falls between the pixels of a face, and its points."""
    height, width = picture.shape[:2]
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    small: Plane = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    return small, points * (size[0] / width, size[1] / height)
