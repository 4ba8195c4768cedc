"""Scorers on disk: what serves two photographs is what scored the table."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import CheckpointError, DataError, ParamsError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.tables import write_table
from pipeline_lib.matching.scores.shared.faces import Faces, Needs
from pipeline_lib.matching.scores.shared.saved import ARRAYS, VALUES, load_scorer, save_scorer
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from tests.matching.scores.made import ENTRIES, PAIR_ROWS, images, opened, pair_table, scored, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def faces(data: Path, needs: Needs, row: int) -> Faces:
    """One image as somebody would bring it who knows `needs` only."""
    if needs.pixels:
        return Faces(pixels=images()[row][None])
    if needs.network is not None:
        return Faces(vectors=read_embeddings(data / "embed" / needs.network).vectors[[row]])
    folders = {"p56_x0_y28": "p56", "p28_x14_y0": "p28_x14_y0"}
    stored = [
        read_embeddings(data / "region_embeddings" / folders[name], with_patches=True) for name in needs.positions
    ]
    return Faces(patches=np.concatenate([each.patches[[row]] for each in stored], axis=1))


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "cosine_centred"])
def test_what_is_loaded_scores_two_photographs_as_the_table_does(data, tmp_path, name):
    table = scored(data, name)
    for column, scorer in opened(data, name).items():
        save_scorer(tmp_path / column, scorer)
        found = load_scorer(tmp_path / column)
        assert (found.needs, found.is_cosine, found.in_headline) == (scorer.needs, scorer.is_cosine, scorer.in_headline)
        for row, (_, _, a, b) in enumerate(PAIR_ROWS):
            served = found.score(faces(data, found.needs, a), faces(data, found.needs, b))
            assert served.shape == (1,)
            assert served.dtype == np.float32
            # One pair's products are not summed in the order of a block's: float32, 37632 of them for pixels.
            np.testing.assert_allclose(served[0], table[column][row], rtol=0, atol=1e-5)


def test_centred_cosines_of_photographs_take_the_mean_of_the_validation_images(data, tmp_path):
    save_scorer(tmp_path, opened(data, "cosine_centred")["cosine_centred:net"])
    vectors = read_embeddings(data / "embed/net").vectors
    mean = vectors[[2, 3, 6, 7]].mean(axis=0)
    needs = Needs(network="net")
    found = load_scorer(tmp_path).score(faces(data, needs, 0), faces(data, needs, 5))
    np.testing.assert_allclose(found, cosine(vectors[[0]] - mean, vectors[[5]] - mean), rtol=0, atol=1e-6)  # float32


def test_centred_cosines_without_validation_pairs_serve_nobody(tmp_path):
    data = write_data(tmp_path / "data")
    write_table(data / "ingest/pairs.parquet", pair_table(PAIR_ROWS[:4]), PAIRS)
    assert len(scored(data, "cosine_centred")["cosine_centred:net"]) == 4
    with pytest.raises(DataError, match="val_share"):
        save_scorer(tmp_path / "saved", opened(data, "cosine_centred")["cosine_centred:net"])
    assert not (tmp_path / "saved").exists()


def test_anchors_leave_their_names_behind(data, tmp_path):
    save_scorer(tmp_path, opened(data, "dam")["dam:r"])
    assert not any(b"train" in path.read_bytes() for path in tmp_path.iterdir())


def test_what_is_missing_damaged_or_of_no_kind_is_refused(data, tmp_path):
    with pytest.raises(CheckpointError, match="missing"):
        load_scorer(tmp_path)
    save_scorer(tmp_path, opened(data, "dam")["dam:l"])
    whole, text = (tmp_path / ARRAYS).read_bytes(), read_json(tmp_path / VALUES)
    (tmp_path / ARRAYS).write_bytes(whole[:50])
    with pytest.raises(CheckpointError, match="damaged"):
        load_scorer(tmp_path)
    (tmp_path / ARRAYS).write_bytes(whole)
    write_json(tmp_path / VALUES, {**text, "values": {}})
    with pytest.raises(CheckpointError, match="damaged"):
        load_scorer(tmp_path)
    write_json(tmp_path / VALUES, {**text, "kind": "../cosine"})
    with pytest.raises(ParamsError, match="no such kind"):
        load_scorer(tmp_path)


def test_faces_without_what_a_score_needs_are_refused(data):
    (scorer,) = opened(data, "cosine", networks=["net"]).values()
    with pytest.raises(DataError, match="lack what their score needs"):
        scorer.score(Faces(), Faces())


def test_faces_are_taken_by_row():
    some = Faces(vectors=np.arange(6, dtype=np.float32).reshape(3, 2), pixels=np.zeros((3, 112, 112, 3), np.uint8))
    assert (len(some), len(Faces())) == (3, 0)
    taken = some.take(np.array([2, 0, 2]))
    assert taken.vectors[:, 0].tolist() == [4, 0, 4]
    assert (taken.patches, taken.pixels.shape) == (None, (3, 112, 112, 3))
