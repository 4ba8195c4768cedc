"""Face-ViT as a re-ranker: the network's own scores, in any company, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.matching.rerankers import face_vit
from pipeline_lib.matching.rerankers.shared.reranker import PatchFaces, Reads
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from tests.matching.tiny_face_vit import SPEC, patches_for, saved

CPU = torch.device("cpu")
GRID = np.zeros((5, 4), np.int64)


def faces(patches: np.ndarray) -> PatchFaces:
    return PatchFaces([f"im{i}" for i in range(len(patches))], np.ones((len(patches), 8), np.float32), patches, GRID)


@pytest.mark.parametrize("output", ["linear", "cls"])
def test_pairs_have_the_network_s_scores_in_any_company(output: str, tmp_path: Path) -> None:
    network = saved(tmp_path / "h", output)
    reranker = face_vit.open_reranker(face_vit.Settings(), Reads(tmp_path / "it", tmp_path / "h", CPU))
    queries, gallery = patches_for(network, 4), patches_for(network, 30, seed=1)
    pairs = np.array([(q, g) for q in range(4) for g in range(30)], np.int64)
    prepared = reranker.prepare(faces(queries), True), reranker.prepare(faces(gallery), False)
    found = reranker.compare(*prepared, pairs, str)
    with torch.no_grad():
        wanted = network.compare(
            *(torch.from_numpy(side[rows]) for side, rows in zip((queries, gallery), pairs.T, strict=True))
        )
    assert found.similarity.dtype == np.float32
    np.testing.assert_allclose(found.similarity, wanted, rtol=0, atol=1e-6)
    assert found.carried.all()
    assert found.converged.all()
    for part in (pairs[[7]], pairs[::-1].copy()):
        again = reranker.compare(*prepared, part, str).similarity
        np.testing.assert_allclose(
            again, found.similarity[[7]] if len(part) == 1 else found.similarity[::-1], rtol=0, atol=1e-6
        )
    assert reranker.compare(*prepared, pairs[:0], str).similarity.shape == (0,)


def test_other_networks_and_broken_features_are_refused(tmp_path: Path) -> None:
    network = saved(tmp_path / "h")
    save_network(tmp_path / "plain", build_network(SPEC, 1))
    settings = face_vit.Settings()
    for gallery, beside in (("other", "h"), ("it", "plain"), ("it", "none")):
        with pytest.raises(DataError, match=rf"over {gallery}"):
            face_vit.open_reranker(settings, Reads(tmp_path / gallery, tmp_path / beside, CPU))
    with pytest.raises(CheckpointError):
        face_vit.open_reranker(settings, Reads(tmp_path / "it", tmp_path / "missing", CPU))
    reranker = face_vit.open_reranker(settings, Reads(tmp_path / "it", tmp_path / "h", CPU))
    patches = patches_for(network, 3)
    with pytest.raises(DataError, match="another network"):
        reranker.prepare(faces(patches[:, :4]), True)
    patches[1, 2, 3] = np.nan
    with pytest.raises(DataError, match="im1"):
        reranker.prepare(faces(patches), True)
