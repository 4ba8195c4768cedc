"""How like the faces of a protocol's pairs the anchors are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.matching.anchors.shared.anchors import Anchors, check_state
from pipeline_lib.matching.anchors.shared.kind import TrainingFaces
from pipeline_lib.matching.anchors.shared.measure import own_anchors
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.networks.embeddings.store import read_embeddings

Likeness = dict[str, dict[str, float]]


def likeness(anchors: Anchors, faces: TrainingFaces, embedded: Path, images: Mapping[str, Sequence[str]]) -> Likeness:
    """By protocol, how near the faces of its pairs lie to the anchors, compared with faces of the anchors' own people:

        auc = P(G(pair's face) > G(own face)) + P(equal) / 2

    over all of both, G by DAM-R, of an own face without the anchor of its identity. Own faces are the training images of
    identities that have an anchor (kinds real and class_weights), or else the anchors themselves, each among the others. At
    1/2 the anchors stand to these faces as to their own people; towards 0 the faces lie apart from all anchors, whose G then
    says little of how crowded their own neighbourhood is.

    Args:
        anchors: of the same state of the same network as `embedded`; more than k.
        faces: the training images.
        embedded: the folder with the embeddings of the pairs' images.
        images: of each protocol, N >= 1, each once.

    Returns:
        By protocol auc, lid_mean and lid_std of its faces' G, and num_faces.

    Raises:
        DataError: there are no more anchors than k, the embeddings are of another state of the network (check_state), or an
            image has none.
    """
    check_state(anchors, embedded)
    k, scale, stored = anchors.num_neighbours, anchors.scale, read_embeddings(embedded)
    vectors, own = anchors.vectors, np.arange(len(anchors.vectors))
    if (anchor_of := own_anchors(anchors, faces)) is not None:
        vectors, own = faces.vectors[anchor_of >= 0], anchor_of[anchor_of >= 0]
    own_lids = log_lid(nearest_cosines(vectors, anchors.vectors, k, left_out=own), scale)
    found: Likeness = {}
    for protocol, names in images.items():
        lids = log_lid(nearest_cosines(stored.vectors[stored.rows(names)], anchors.vectors, k), scale)
        is_pairs = np.repeat([True, False], [len(lids), len(own_lids)])
        found[protocol] = {
            "auc": area_under(roc_curve(np.concatenate([lids, own_lids]), is_pairs)),
            "lid_mean": float(np.exp(lids).mean()),
            "lid_std": float(np.exp(lids).std()),
            "num_faces": len(lids),
        }
    return found
