"""One entrance to all occlusions and their combinations, and the random generator that belongs to an image."""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.occlusion.crop import crop_landmarks, random_crop
from pipeline_lib.data.occlusion.face_mask import draw_face_mask
from pipeline_lib.data.occlusion.sunglasses import draw_sunglasses
from pipeline_lib.data.occlusion.template import Template, draw_template
from pipeline_lib.params.occlude import COMBINED, KINDS


class Drawing(NamedTuple):
    """An occluded image, uint8 RGB (112, 112, 3), float32 (5, 2) where the landmarks are now, and what was drawn, for JSON.

    `changed`: bool (112, 112), of a patch swap which pixels it changed.
    """

    image: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]
    drawn: dict[str, object]
    changed: npt.NDArray[np.bool_] | None = None


def draw_occlusions(
    image: npt.NDArray[np.uint8],
    landmarks: npt.ArrayLike,
    kind: str,
    seed: int,
    image_id: str,
    crop_share: float,
    templates: Mapping[str, Template] = MappingProxyType({}),
) -> Drawing:
    """Draw one kind, or several joined by + one after the other, each as it is drawn alone on the picture before it.

    A part has the generator that it has alone (image_rng): the mask of mask_cloth+sunglasses has the style and colours of
    the same image's mask_cloth.

    Args:
        kind: params.occlude.Kind; for the others see draw_occlusion and image_rng.

    Returns:
        drawn: of one kind what draw_occlusion gives, of several {"kind": all, "each": [what each gave, in order]}.

    Raises:
        ParamsError, DataError: see draw_occlusion.
    """
    points = np.asarray(landmarks, np.float32)
    each: list[dict[str, object]] = []
    for part in kind.split(COMBINED):
        image, drawn = draw_occlusion(image, points, part, image_rng(seed, image_id, part), crop_share, templates)
        box = drawn.get("box")
        points = crop_landmarks(points, box, FACE_PX) if isinstance(box, list) else points
        each.append(drawn)
    return Drawing(image, points, each[0] if len(each) == 1 else {"kind": kind, "each": each})


def draw_occlusion(
    image: npt.NDArray[np.uint8],
    landmarks: npt.ArrayLike,
    kind: str,
    rng: np.random.Generator,
    crop_share: float,
    templates: Mapping[str, Template] = MappingProxyType({}),
) -> tuple[npt.NDArray[np.uint8], dict[str, object]]:
    """Occlude an aligned image (DeepFace-EMD thesis, section 5.3: masked, sunglasses, cropped queries).

    The thesis overlays one picture of a mask or of sunglasses; here they are drawn, in several kinds and colours, so
    that neither a network nor a re-ranking can learn one particular mask.

    Args:
        image: uint8 RGB (112, 112, 3); not changed.
        landmarks: (5, 2) left eye, right eye, nose, mouth corners, pixels of the image.
        kind: one of KINDS, or of `templates`.
        rng: decides everything that varies; see image_rng.
        crop_share: side of a crop over the image's; only `crop` reads it.
        templates: a user's own (template.load_templates).

    Returns:
        uint8 (112, 112, 3), and what was drawn, ready for JSON: {"kind", and "parts" with polygons and colours or
        "box"}.

    Raises:
        ParamsError: an unknown kind.
        DataError: the landmarks are not five finite points.
    """
    if kind not in KINDS and kind not in templates:
        allowed = ", ".join((*KINDS, *templates))
        raise ParamsError("An occlusion kind does not exist.", got=kind, allowed=allowed, where="occlude.kinds")
    if kind in templates:
        occluded, drawn = draw_template(image, landmarks, templates[kind], rng)
    elif kind == "crop":
        occluded, drawn = random_crop(image, crop_share, rng)
    elif kind == "sunglasses":
        occluded, drawn = draw_sunglasses(image, landmarks, rng)
    else:
        occluded, drawn = draw_face_mask(image, landmarks, kind.removeprefix("mask_"), rng)
    return occluded, {"kind": kind, **drawn}


def image_rng(seed: int, image_id: str, kind: str) -> np.random.Generator:
    """The generator of one occlusion, the same whatever else is drawn, and in whatever order or process."""
    return np.random.default_rng(_hashed(seed, image_id, kind))


def training_kind(seed: int, image_id: str, kinds: list[str], share: float) -> str | None:
    """Which occlusion a training image gets: one of `kinds` for about `share` of the images, else None.

    Decided by a hash of seed and image_id, so that more images do not change the choice for those already there, and a
    larger share only adds to a smaller one.
    """
    if not kinds or _hashed(seed, image_id, "chosen") >= share * 2**256:
        return None
    return kinds[_hashed(seed, image_id, "kind") % len(kinds)]


def query_images(seed: int, image_ids: Iterable[str], max_images: int | None) -> frozenset[str]:
    """Which images are occluded as queries: the `max_images` of lowest hash, so that a larger number only adds; None: all."""
    drawn = sorted(image_ids, key=lambda image_id: _hashed(seed, image_id, "query"))
    return frozenset(drawn[:max_images])


def _hashed(seed: int, image_id: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}/{image_id}".encode()).digest())
