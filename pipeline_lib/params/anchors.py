"""Section `anchors`: sets of strangers that DAM measures how crowded a face's neighbourhood is with."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.params.section import AboveZero, OpenSection, Positive, Section


class Lid(Section):
    """The regressor of G (DAM-L): two fully connected layers.

    `held_out_share`: of the training identities, drawn by the entry's seed: it learns nothing of their images, and its error
    against DAM-R is measured on them.
    """

    hidden_dim: Positive
    num_steps: Positive
    batch_size: Positive
    learning_rate: AboveZero
    decay_steps: list[Positive]
    held_out_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1


class Anchors(OpenSection):
    """Anchors for one network, and G = sum over the `num_neighbours` nearest of exp(scale cos).

    `kind` names a module of matching/anchors, which checks the other keys; `of` the table that defines the network. `from`: the
    file or folder that the kind makes anchors of, data/none for one that needs none. The key must be there, since the stage's
    dependency is named by it. `max_anchors`: at most so many, drawn by `seed`; of a generator, as many.
    """

    kind: str
    of: Literal["networks", "networks_over"]
    network: str
    from_: Annotated[str, Field(alias="from")]
    scale: AboveZero
    num_neighbours: Positive
    max_anchors: Positive
    lid: Lid
    seed: int

    @model_validator(mode="after")
    def _neighbours_are_others(self) -> Self:
        if self.num_neighbours >= self.max_anchors:
            raise ValueError(f"num_neighbours {self.num_neighbours} needs a larger max_anchors than {self.max_anchors}")
        return self
