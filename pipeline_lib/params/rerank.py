"""Section `rerank`: identification of occluded queries in two stages."""

from typing import Literal

from pipeline_lib.params.section import AboveZero, Positive, Section, Share
from pipeline_lib.params.transport import Weights


class Rerank(Section):
    """One entry: stage 1 cosine, stage 2 alpha * EMD + (1 - alpha) * cosine on the top_k.

    `pool` averages the patch grid pool x pool.
    """

    network: str
    top_k: Positive
    alpha: Share
    weights: Weights
    pool: Literal[1, 2]
    regularisation: AboveZero
    tolerance: AboveZero
    max_iterations: Positive
