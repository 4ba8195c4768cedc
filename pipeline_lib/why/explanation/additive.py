"""Additive: the network's own explanation, exact by its construction (RRFNet eq. 8; BagNet's fields likewise)."""

import numpy as np

from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.additive_terms import additive_explanation
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Requires

REQUIRES: Requires = "additive"


class Settings(Section):
    """Nothing to set."""


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Spread each patch's share of the cosine over its pixels: each map sums to the score, to rounding.

    Args:
        network: around an additive network.
        pair: two faces, by `network`.
        settings, rng: not used.

    Raises:
        ParamsError, DataError: see additive_explanation.
    """
    assert pair.patches is not None, "a kind of an additive network is given patches"
    return additive_explanation(
        network.network, *pair.patches, mirror=network.mirror, score=pair.score, mean=network.mean
    )
