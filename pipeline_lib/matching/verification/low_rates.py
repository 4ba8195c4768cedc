"""A network's cosine, and DAM over its anchors, on all pairs of stored embeddings."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE, check_state, check_strangers, read_anchors
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LID_FOLDER, read_lid
from pipeline_lib.matching.verification.all_pairs import AllPairs, Blocks, cosine_blocks, count_all_pairs, dam_blocks
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_embeddings
from pipeline_lib.params.all_pairs import AllPairs as Entry

COSINE, DAM_R, DAM_L = "cosine", "dam_r", "dam_l"


def scored_all_pairs(entry: Entry, embedded: Path, anchors: Path) -> Iterator[tuple[str, AllPairs]]:
    """Each score of an entry with the counts of all its pairs.

    Args:
        entry: of params.all_pairs.
        embedded: a network's embeddings, a folder of its name.
        anchors: a folder of build_anchors; any file where the entry names none.

    Raises:
        DataError: a file is missing or damaged, anchors are of another network, another state of it, or among the people
            compared, or the faces have no genuine or no impostor pair.
        CheckpointError: the regressor of G is missing or damaged.
    """
    store = read_embeddings(embedded)
    rows = _chosen(store, entry)
    vectors, identities = store.vectors[rows], [store.identities[row] for row in rows.tolist()]
    owners = np.unique(np.array(identities, object), return_inverse=True)[1] if identities else np.zeros(0, np.int64)
    for name, blocks in _scores(vectors, set(identities), embedded, anchors).items():
        yield name, count_all_pairs(blocks, owners.astype(np.int64), max(entry.false_accept_rates))


def _chosen(store: EmbeddingSet, entry: Entry) -> np.ndarray:
    """Rows of the split's images as they were aligned, at most max_faces."""
    kinds = zip(store.splits, store.kinds, strict=True)
    rows = np.array([row for row, (split, kind) in enumerate(kinds) if split == entry.split and kind is None], np.int64)
    if len(rows) > entry.max_faces:
        rows = np.sort(np.random.default_rng(entry.seed).choice(rows, entry.max_faces, replace=False))
    return rows


def _scores(vectors: np.ndarray, people: set[str], embedded: Path, folder: Path) -> dict[str, Blocks]:
    found = {COSINE: cosine_blocks(vectors)}
    if folder.is_dir():
        anchors = read_anchors(folder / ANCHORS_FILE)
        if anchors.network != embedded.name:
            problem = "The anchors are of another network than the embeddings."
            raise DataError(problem, got=anchors.network, allowed=embedded.name, where=folder)
        check_state(anchors, embedded)
        check_strangers(anchors, people)
        regressor = read_lid(folder / LID_FOLDER, anchors.scale, anchors.num_neighbours)
        searched = log_lid(nearest_cosines(vectors, anchors.vectors, anchors.num_neighbours), anchors.scale)
        found[DAM_R] = dam_blocks(vectors, searched, anchors.scale)
        found[DAM_L] = dam_blocks(vectors, regressor.log_lid(vectors), anchors.scale)
    return found
