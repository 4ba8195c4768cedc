"""How like the faces of a protocol's pairs the anchors are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.matching.anchors.shared.anchors import Anchors, check_state
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.networks.embeddings.store import read_embeddings

Likeness = dict[str, dict[str, float]]


def likeness(anchors: Anchors, embedded: Path, images: Mapping[str, Sequence[str]]) -> Likeness:
    """By protocol, how near the faces of its pairs lie to the anchors, compared with how near these lie to each other:

        auc = P(G(pair's face) > G(anchor)) + P(equal) / 2

    over all of both, G by DAM-R, an anchor's of the other anchors. At 1/2 the anchors stand to these faces as to one of
    themselves; towards 0 the faces lie apart from all anchors, whose G then says little of how crowded their own
    neighbourhood is. (Vectors that are no faces, as class weights, may lie farther from each other than faces do: above 1/2.)

    Args:
        anchors: of the same state of the same network as `embedded`; more than k.
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
    themselves = np.arange(len(anchors.vectors))
    among = log_lid(nearest_cosines(anchors.vectors, anchors.vectors, k, left_out=themselves), scale)
    found: Likeness = {}
    for protocol, names in images.items():
        lids = log_lid(nearest_cosines(stored.vectors[stored.rows(names)], anchors.vectors, k), scale)
        is_pairs = np.repeat([True, False], [len(lids), len(among)])
        found[protocol] = {
            "auc": area_under(roc_curve(np.concatenate([lids, among]), is_pairs)),
            "lid_mean": float(np.exp(lids).mean()),
            "lid_std": float(np.exp(lids).std()),
            "num_faces": len(lids),
        }
    return found
