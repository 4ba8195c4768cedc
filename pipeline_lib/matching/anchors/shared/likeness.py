"""How like the faces of a protocol's pairs the anchors are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.matching.anchors.shared.anchors import Anchors, check_state
from pipeline_lib.matching.dam.dam import Doubles, log_lid, nearest_cosines
from pipeline_lib.networks.embeddings.store import read_embeddings

Likeness = dict[str, dict[str, float]]


def likeness(
    anchors: Anchors, training_log_lids: Doubles, embedded: Path, images: Mapping[str, Sequence[str]]
) -> Likeness:
    """By protocol, how near the faces of its pairs lie to the anchors, compared with how near the training faces do:

        auc = P(G(pair's face) > G(training face)) + P(equal) / 2

    over all of both, G by DAM-R. At 1/2 the anchors stand to these faces as they do to people of their own kind of photographs;
    towards 0 the faces lie apart from all anchors, whose G then says little of how crowded their own neighbourhood is. (Above
    1/2 the anchors are more like them than like the training faces, as a user's folder may be.)

    Args:
        anchors: of the same state of the same network as `embedded`.
        training_log_lids: float64 (N,), Measured.log_lids.
        embedded: the folder with the embeddings of the pairs' images.
        images: of each protocol, N >= 1, each once.

    Returns:
        By protocol auc, lid_mean and lid_std of its faces' G, and num_faces.

    Raises:
        DataError: the embeddings are of another state of the network (check_state), or an image has none.
    """
    check_state(anchors, embedded)
    stored, found = read_embeddings(embedded), Likeness()
    for protocol, names in images.items():
        rows = stored.rows(names)
        lids = log_lid(nearest_cosines(stored.vectors[rows], anchors.vectors, anchors.num_neighbours), anchors.scale)
        is_pairs = np.repeat([True, False], [len(lids), len(training_log_lids)])
        auc = area_under(roc_curve(np.concatenate([lids, training_log_lids]), is_pairs))
        found[protocol] = {
            "auc": auc,
            "lid_mean": float(np.exp(lids).mean()),
            "lid_std": float(np.exp(lids).std()),
            "num_faces": len(rows),
        }
    return found
