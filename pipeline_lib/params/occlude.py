"""Section `occlude`: occluded training images and queries."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline_lib.params.section import Positive, Section, Share

KINDS = ("mask_surgical", "mask_cloth", "mask_n95", "sunglasses", "crop")
COMBINED = "+"  # between the parts of a combination


def _combination(kind: str) -> str:
    parts = kind.split(COMBINED)
    if unknown := [part for part in parts if part not in KINDS]:
        raise ValueError(f"{kind}: {unknown[0] or 'an empty part'} is none of {', '.join(KINDS)}")
    if len(set(parts)) < len(parts):
        raise ValueError(f"{kind}: each part may be there once")
    if "crop" in parts[:-1]:
        raise ValueError(f"{kind}: crop comes last, since the others are drawn by the whole face's landmarks")
    return kind


def _each_once(kinds: list[str]) -> list[str]:
    if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        raise ValueError(f"{', '.join(twice)}: each kind may be there once")
    return kinds


# One of KINDS, or several joined by +, drawn in this order.
Kind = Annotated[str, AfterValidator(_combination)]


class Occlude(Section):
    """Occluded images: a share of the training images, and test images in every kind as queries.

    `kinds`: of KINDS, or several of them joined by + and drawn in this order (mask_cloth+sunglasses, mask_cloth+crop).
    `max_query_images` test images are drawn as queries, null takes all. `profile_queries`: the test photographs that a source
    calls profiles (CFP) are queries of kind profile, as they are; nothing is drawn on them, and they are in no gallery.
    """

    kinds: Annotated[list[Kind], AfterValidator(_each_once)]
    max_query_images: Positive | None
    profile_queries: bool = False
    train_share: Share
    crop_share: Annotated[float, Field(gt=0.0, le=1.0)]
    seed: int
