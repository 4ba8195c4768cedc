"""Sections `explain` and `explanations`: which pairs are explained, and how."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.params.section import AboveZero, NonNegative, OpenSection, Positive, Section


class Explain(Section):
    """The pairs that every explanation explains, and how its faithfulness is measured.

    Of each test protocol `num_pairs` genuine and as many impostor pairs are explained, and `num_pictures` of them drawn.
    """

    num_pairs: Positive
    num_pictures: NonNegative
    num_steps: Annotated[int, Field(ge=2)]
    insertion_blur_sigma_px: AboveZero
    seed: int


class Explanation(OpenSection):
    """One entry: `kind` names a module of why/explanation, which checks the other keys; `network` is the one explained.

    `with` is the folder below data/ of what else the kind needs (networks_over/<name>), or none.
    """

    kind: str
    network: str
    with_: Annotated[str, Field(alias="with")]
