"""Face-ViT as a pair score: its network's scores, kept in a model without pickle, and what it refuses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.matching.scores.shared.faces import Faces
from pipeline_lib.matching.scores.shared.saved import VALUES, load_scorer, save_scorer
from pipeline_lib.networks.embeddings.store import write_embeddings
from tests.matching.scores.made import ENTRIES, NUM, PAIR_ROWS, embedded, opened, scored, write_data
from tests.matching.tiny_face_vit import patches_for, saved


@pytest.fixture(autouse=True)
def _entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the entries that can be opened while these tests run."""
    monkeypatch.setitem(ENTRIES, "face_vit", {"kind": "face_vit", "of": "embed/h", "with": "networks_over/h"})


@pytest.fixture(params=["linear", "cls"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = write_data(tmp_path / "data")
    network = saved(folder / "networks_over" / "h", request.param)
    plain, patches = embedded(np.zeros((NUM, 2))), patches_for(network, NUM)
    stored = dataclasses.replace(plain, patches=patches, patch_keys=plain.keys, grid=np.zeros((5, 4), np.int64))
    write_embeddings(folder / "embed" / "h", stored)
    return folder


def test_a_column_is_the_network_s_and_what_is_loaded_scores_as_the_table_does(data: Path, tmp_path: Path) -> None:
    table, (scorer,) = scored(data, "face_vit"), opened(data, "face_vit").values()
    assert list(table) == ["face_vit"]
    network = saved(tmp_path / "again", scorer.encoder.settings.output)
    patches = patches_for(network, NUM)
    save_scorer(tmp_path / "saved", scorer)
    found = load_scorer(tmp_path / "saved")
    assert (found.needs, found.is_cosine) == (scorer.needs, scorer.is_cosine)
    assert scorer.is_cosine == (scorer.encoder.settings.output == "linear")
    for row, (_, _, a, b) in enumerate(PAIR_ROWS):
        with torch.no_grad():
            wanted = network.compare(torch.from_numpy(patches[[a]]), torch.from_numpy(patches[[b]]))
        np.testing.assert_allclose(table["face_vit"][row], wanted[0], rtol=0, atol=1e-6)
        served = found.score(Faces(patches=patches[[b]]), Faces(patches=patches[[a]]))  # in the other order
        np.testing.assert_allclose(served, wanted, rtol=0, atol=1e-6)
    assert found.score(Faces(patches=patches[:0]), Faces(patches=patches[:0])).shape == (0,)
    with pytest.raises(DataError, match="another network"):
        found.score(Faces(patches=patches[:2, :3]), Faces(patches=patches[:2, :3]))
    text = read_json(tmp_path / "saved" / VALUES)
    for wrong in ({"dim": 4}, {"depth": 0}):
        settings = {**text["values"]["settings"], **wrong}
        write_json(tmp_path / "saved" / VALUES, {**text, "values": {**text["values"], "settings": settings}})
        with pytest.raises(CheckpointError, match="damaged"):
            load_scorer(tmp_path / "saved")


def test_embeddings_of_another_network_are_refused(data: Path) -> None:
    with pytest.raises(DataError, match="needs its network"):
        opened(data, "face_vit", of="embed/net")
