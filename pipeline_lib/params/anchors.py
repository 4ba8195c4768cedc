"""Section `anchors`: sets of strangers that DAM measures how crowded a face's neighbourhood is with."""

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
