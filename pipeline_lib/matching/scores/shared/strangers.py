"""The anchors that an entry of `scores` reads."""

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.anchors import (
    ANCHORS_FILE,
    Anchors,
    check_state,
    check_strangers,
    read_anchors,
)
from pipeline_lib.matching.scores.shared.reads import Reads


def strangers(reads: Reads) -> Anchors:
    """Those in `with`, of the one network in `of`, none of whom is in the pairs.

    Raises:
        DataError: the anchors are missing, of another network or another state of it, or somebody in the pairs (named); `of` is
            of several networks.
    """
    network, anchors = reads.one_network(), read_anchors(reads.with_ / ANCHORS_FILE)
    if anchors.network != network:
        problem = "The anchors are of another network than the embeddings."
        raise DataError(problem, got=anchors.network, allowed=network, where=reads.with_)
    check_state(anchors, reads.networks[network])
    check_strangers(anchors, reads.pairs.people)
    return anchors
