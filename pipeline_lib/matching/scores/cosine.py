"""The cosine of two embeddings of one network."""

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.networks import OfNetworks, chosen_networks
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, State


class Settings(OfNetworks):
    """`networks`, see there."""


class Cosine(Scorer):
    """cos(e_a, e_b) in [-1, 1].

    Args:
        network: whose embeddings are compared.
    """

    is_cosine = True

    def __init__(self, network: str) -> None:
        self.needs = Needs(network=network)

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return cosine(given(a.vectors), given(b.vectors))

    def state(self) -> State:
        """See Scorer."""
        return {"network": self.needs.network}


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """A column a network; raises DataError where one that is named is not embedded."""
    return {name: Cosine(name) for name in chosen_networks(settings, reads)}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return Cosine(**state)
