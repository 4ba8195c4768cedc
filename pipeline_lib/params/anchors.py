"""Section `anchors`: sets of strangers that DAM measures how crowded a face's neighbourhood is with."""

from typing import Self

from pydantic import model_validator

from pipeline_lib.params.section import AboveZero, Positive, Section


class Lid(Section):
    """The regressor of G (DAM-L): two fully connected layers."""

    hidden_dim: Positive
    num_steps: Positive
    batch_size: Positive
    learning_rate: AboveZero
    decay_steps: list[Positive]


class Anchors(Section):
    """Anchors for one network, and G = sum over the `num_neighbours` nearest of exp(scale cos)."""

    network: str
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
