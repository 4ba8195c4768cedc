"""Section `generators`: networks that make faces of nobody, for anchors."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import AboveZero, NonNegative, Positive, Section


class Generator(Section):
    """A generator, trained against a discriminator on the aligned faces of the training identities (networks.generator).

    Args:
        judge: of `networks`: whose embeddings say how near the fakes are to the training faces.
        side_px: of the faces it makes, which are then brought to 112 px. The price of a step goes with its square.
        width: channels of the largest maps; they double with every halving of the side, up to max_channels.
        latent_dim: length of the random vectors that faces are made of.
        num_steps: of both networks; batch_size: real faces, and fakes for each network, of a step.
        learning_rate: Adam's, constant.
        r1_gamma: weight of the R1 penalty (10 in the paper); r1_every_steps: computed in every such step, with as much more
            weight (lazy regularisation, Karras et al. 2020). 1: always, as in the paper.
        ema_decay: weight of the past in the running mean of the generator's weights, which is what comes out.
        num_judged: fakes that are held against the training faces.
        seed: of initial weights, order, mirroring and latents.
    """

    judge: str
    side_px: Literal[28, 56, 112]
    width: Positive
    max_channels: Positive
    latent_dim: Positive
    num_steps: Positive
    batch_size: Positive
    learning_rate: AboveZero
    r1_gamma: Annotated[float, Field(ge=0.0)]
    r1_every_steps: Positive
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    num_judged: Annotated[int, Field(ge=64)]
    seed: NonNegative
