"""Section `occlude`: occluded training images and queries."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline_lib.params.section import NO_FILE, Positive, Section, Share

KINDS = ("mask_surgical", "mask_cloth", "mask_n95", "mask_ffp2", "sunglasses", "crop")
TEMPLATE = "template_"  # before the name of a user's own
PATCH_SWAP = "patch_swap"
COMBINED = "+"  # between the parts of a combination
IS_TEMPLATE = re.compile(TEMPLATE + r"[a-z0-9][a-z0-9_]*")


def is_kind(part: str) -> bool:
    """Whether a part of a combination, or a kind that is not combined, is one that is drawn."""
    return part in KINDS or IS_TEMPLATE.fullmatch(part) is not None


def _combination(kind: str) -> str:
    if kind == PATCH_SWAP:
        return kind
    parts = kind.split(COMBINED)
    if PATCH_SWAP in parts:
        raise ValueError(f"{kind}: {PATCH_SWAP} stands alone, since its changed pixels are kept")
    if unknown := [part for part in parts if not is_kind(part)]:
        allowed = ", ".join((*KINDS, PATCH_SWAP, f"{TEMPLATE}<name>"))
        raise ValueError(f"{kind}: {unknown[0] or 'an empty part'} is none of {allowed}")
    if len(set(parts)) < len(parts):
        raise ValueError(f"{kind}: each part may be there once")
    if "crop" in parts[:-1]:
        raise ValueError(f"{kind}: crop comes last, since the others are drawn by the whole face's landmarks")
    return kind


def _each_once(kinds: list[str]) -> list[str]:
    if twice := sorted({kind for kind in kinds if kinds.count(kind) > 1}):
        raise ValueError(f"{', '.join(twice)}: each kind may be there once")
    return kinds


# One of KINDS, a template, or several of these joined by +, drawn in this order; or PATCH_SWAP.
Kind = Annotated[str, AfterValidator(_combination)]


class Occlude(Section):
    """Occluded images: a share of the training images, and test images in every kind as queries.

    `kinds`: of KINDS, or several of them joined by + and drawn in this order (mask_cloth+sunglasses, mask_cloth+crop).
    template_<name> is a user's own picture, <name>.png and <name>.json in the folder `templates`. patch_swap, for queries alone,
    has squares of another person's face and keeps which pixels they changed.
    `max_query_images` test images are drawn as queries, null takes all. `profile_queries`: the test photographs that a source
    calls profiles (CFP) are queries of kind profile, as they are; nothing is drawn on them, and they are in no gallery.
    """

    kinds: Annotated[list[Kind], AfterValidator(_each_once)]
    max_query_images: Positive | None
    profile_queries: bool = False
    train_share: Share
    crop_share: Annotated[float, Field(gt=0.0, le=1.0)]
    templates: str = NO_FILE
    seed: int

    @property
    def training_kinds(self) -> list[str]:
        """What training images are drawn in: a face in part another person's would be taught under one name."""
        return [kind for kind in self.kinds if kind != PATCH_SWAP]

    @model_validator(mode="after")
    def _templates_have_a_folder(self) -> Self:
        if self.templates == NO_FILE and any(TEMPLATE in kind for kind in self.kinds):
            raise ValueError(f"kinds name a template; templates is {NO_FILE}, and should be the folder of its picture")
        return self
