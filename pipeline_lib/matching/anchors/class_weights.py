"""The weights of the head that the network was trained with, one a training identity (DAM's fc, section 4.4)."""

from collections.abc import Sequence

import numpy as np

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.kind import Found, Inputs, OwnClass, draw_some
from pipeline_lib.matching.anchors.shared.settings import FromNothing
from pipeline_lib.networks.heads.shared.class_weights import ClassWeights, read_class_weights

OF_TRAINING = True
ROWS_AT_ONCE = 1024


class Settings(FromNothing):
    """No keys of its own."""


def find(settings: Settings, inputs: Inputs) -> Found:
    """The class weights, at most max_anchors drawn ones; each is named by its training identity.

    Raises:
        CheckpointError: the network has none, or they are damaged.
        DataError: they are of another dimension than the embeddings, or of other people than the train split.
    """
    classes = read_class_weights(inputs.network)
    dim = inputs.training.vectors.shape[1]
    if classes.weights.shape[1] != dim:
        got = f"{classes.weights.shape[1]} a class"
        raise DataError("Class weights and embeddings differ in dimension.", got=got, allowed=dim, where=inputs.network)
    own = own_class(inputs.training.vectors, inputs.training.identities, classes)
    rng = np.random.default_rng(inputs.entry.seed)
    rows = draw_some(len(classes.weights), inputs.entry.max_anchors, rng)
    names = [classes.identities[row] for row in rows]
    return Found([f"class of {name}" for name in names], names, classes.weights[rows], own_class=own)


def own_class(vectors: Floats, identities: Sequence[str], classes: ClassWeights) -> OwnClass:
    """Of each image, cos_y and p_y = exp(s cos_y) / Σ_j exp(s cos_j) over all classes j (NormFace, DAM's eq. 1).

    Args:
        vectors: (N, D), not normalised.
        identities: N, each of a class.
        classes: with s, of the head.

    Raises:
        DataError: an identity has no class: the network was trained on other people.
    """
    row_of = {name: row for row, name in enumerate(classes.identities)}
    missing = sorted({name for name in identities if name not in row_of})
    if missing:
        problem = "Training identities have no class weight; the network was trained on other people: train it again."
        raise DataError(problem, got=missing[:10], allowed=f"the {len(row_of)} of its classes")
    directions, weights = unit(vectors), unit(classes.weights)
    own = np.array([row_of[name] for name in identities], np.int64)
    cosines, probabilities = np.empty(len(own), np.float32), np.empty(len(own), np.float32)
    for first in range(0, len(own), ROWS_AT_ONCE):
        block = slice(first, first + ROWS_AT_ONCE)
        all_of_them = (directions[block] @ weights.T).astype(np.float64)
        mine = np.take_along_axis(all_of_them, own[block, None], axis=1)
        cosines[block] = mine[:, 0]
        probabilities[block] = 1 / np.exp(classes.scale * (all_of_them - mine)).sum(axis=1)
    return OwnClass(cosines, probabilities)
