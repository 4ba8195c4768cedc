"""Section `attacks`: adversarial queries."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.params.section import AboveZero, Positive, Section

# An entry's name is its queries' kind, which says what it is wherever figures are shown.
AttackName = Annotated[str, Field(pattern=r"^adversarial[A-Za-z0-9_-]*$")]


class Attack(Section):
    """One entry: test images perturbed so that `network` no longer finds their person in this run's gallery.

    Args:
        network: of `networks`, the surrogate whose gradients are followed.
        epsilon: the most that a colour value of 0..255 may change (the L-infinity bound).
        num_steps: of projected gradient descent.
        step_size: how far a colour value goes in a step.
        max_query_images: test images that are perturbed, null for all.
        seed: of their choice and of the random starts.
    """

    network: str
    epsilon: Annotated[int, Field(ge=1, le=255)]
    num_steps: Positive
    step_size: AboveZero
    max_query_images: Positive | None
    seed: int
