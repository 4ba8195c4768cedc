"""Sections `explain` and `explanations`: which pairs are explained, and how."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.params.section import AboveZero, NonNegative, OpenSection, Positive, Section


class Explain(Section):
    """The pairs that every explanation explains, and how its faithfulness is measured."""

    num_pairs: Positive
    num_pictures: NonNegative
    num_steps: Annotated[int, Field(ge=2)]
    insertion_blur_sigma_px: AboveZero
    seed: int


class Explanation(OpenSection):
    """One entry: `kind` names a module of why/explanation, which checks the other keys; `network` is the one explained."""

    kind: str
    network: str
