"""The cosine of several networks' embeddings side by side: a baseline of fusion."""

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, State
from pipeline_lib.matching.scores.shared.several import OfSeveral, chosen_several


class Settings(OfSeveral):
    """`networks`, see there."""


class Concatenation(Scorer):
    """cos([ê_1; ê_2; ...]_a, [ê_1; ê_2; ...]_b), ê_n the unit embedding of network n.

    By algebra it is the mean of the networks' cosines, (cos_1 + cos_2 + ...) / n: the plain sum of scores. A network whose
    cosines spread more weighs more in it; score_sum weighs all alike.

    Args:
        networks: two or more.
    """

    is_cosine = True

    def __init__(self, networks: tuple[str, ...]) -> None:
        self.needs = Needs(side_by_side=tuple(networks))

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return cosine(given(a.vectors), given(b.vectors))

    def state(self) -> State:
        """See Scorer."""
        return {"networks": list(self.needs.side_by_side)}


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """One column; raises as chosen_several."""
    return {"": Concatenation(chosen_several(settings, reads))}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return Concatenation(tuple(state["networks"]))
