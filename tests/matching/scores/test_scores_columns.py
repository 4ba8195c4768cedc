"""The score columns: mean-centring by hand, pixels, regions and DAM from files."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import CheckpointError, DataError, ParamsError
from pipeline_lib.core.tables import write_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE, Anchors, read_anchors, write_anchors
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LID_FOLDER, read_lid
from pipeline_lib.matching.regions import features
from pipeline_lib.matching.regions.fits import write_region_fits
from pipeline_lib.matching.scores.raw_pixel import pixel_features
from pipeline_lib.matching.scores.shared import columns
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from tests.matching.scores.made import (
    NUM,
    PAIR_ROWS,
    POSITIONS,
    STATE,
    images,
    opened,
    pair_table,
    region_fit,
    scored,
    write_aligned,
    write_data,
    write_vectors,
)

RNG = np.random.default_rng(0)
A, B = ([row[side] for row in PAIR_ROWS] for side in (2, 3))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path)


def centred(data: Path, vectors: np.ndarray, rows: list[tuple[str, int, int, int]]) -> np.ndarray:
    """The centred column of one network on other pairs."""
    write_table(data / "ingest/pairs.parquet", pair_table(rows), PAIRS)
    write_vectors(data / "embed/net", vectors)
    return scored(data, "cosine_centred", networks=["net"])["cosine_centred:net"]


def test_golden_centring(data):
    # The mean of fold 1's images, (1, 1), is taken off fold 0's; that of fold 0's, (1.5, 1.5), off fold 1's.
    vectors = np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 0.0]], np.float32)
    found = centred(data, vectors, [("lfw", 0, 0, 1), ("lfw", 1, 2, 3)])
    # (1, 0)·(0, 1) = 0; (-0.5, 0.5)·(-0.5, -1.5) = -0.5 over √(0.5 · 2.5).
    np.testing.assert_allclose(found, [0.0, -0.5 / np.sqrt(1.25)], rtol=0, atol=1e-6)  # float32


def test_centring_undoes_a_common_offset_and_counts_an_image_once(data):
    vectors = RNG.normal(size=(NUM, 4)).astype(np.float32)
    pairs = [("lfw", 0, 0, 1), ("lfw", 0, 2, 3), ("lfw", 1, 4, 5), ("lfw", 1, 6, 7)]
    again = [*pairs, ("lfw", 1, 4, 5), ("lfw", 1, 4, 5)]
    found = centred(data, vectors + np.float32(5), again)
    np.testing.assert_allclose(found, centred(data, vectors, again), rtol=0, atol=1e-5)  # float32 at offset 5
    np.testing.assert_allclose(found[:2], centred(data, vectors, pairs)[:2], rtol=0, atol=1e-5)
    with pytest.raises(DataError, match="other folds"):
        centred(data, vectors, [(protocol, 0, a, b) for protocol, _, a, b in pairs])


def test_a_column_a_network_and_protocols_are_centred_each_by_itself(data):
    vectors = {name: read_embeddings(data / "embed" / name).vectors for name in ("net", "other")}
    plain, found = scored(data, "cosine"), scored(data, "cosine_centred")
    assert list(plain) == ["cosine:net", "cosine:other"]
    assert list(found) == ["cosine_centred:net", "cosine_centred:other"]
    for name, each in vectors.items():
        np.testing.assert_array_equal(plain[f"cosine:{name}"], cosine(each[A], each[B]))
    lfw = centred(data, vectors["net"], PAIR_ROWS[:4])
    np.testing.assert_array_equal(found["cosine_centred:net"][:4], lfw)


def test_networks_are_those_of_the_settings_or_the_one_of_the_folder(data):
    assert list(scored(data, "cosine", networks=["other"])) == ["cosine:other"]
    assert list(scored(data, "cosine", of="embed/other")) == ["cosine:other"]
    with pytest.raises(DataError, match=r"not embedded[\s\S]*absent[\s\S]*net"):
        opened(data, "cosine", networks=["net", "absent"])
    with pytest.raises(ParamsError, match=r"scores\.cosine"):
        opened(data, "cosine", netwroks=["net"])
    with pytest.raises(
        ParamsError, match=r"no such kind[\s\S]*cosine_centred, dam, dam_sweep, emd, face_vit, raw_pixel, regions"
    ):
        opened(data, "cosine", kind="shared")


def test_no_network_no_column(data, tmp_path):
    (data / "nothing").mkdir()
    (data / "nothing/.gitkeep").touch()
    assert scored(data, "cosine", of="nothing") == {}


def test_raw_pixels(data):
    found = scored(data, "raw_pixel")["raw_pixel"]
    # The same picture brighter, then its negative.
    np.testing.assert_allclose(found[:2], [1.0, -1.0], rtol=0, atol=1e-5)  # float32 sums of 37632 products
    flat = (image.reshape(-1).astype(float) for image in images()[4:6])
    assert found[2] == pytest.approx(np.corrcoef(*flat)[0, 1], abs=1e-5)


def test_shard_images_of_another_size_are_named(tmp_path):
    write_aligned(tmp_path, [np.zeros((112, 112, 3), np.uint8), np.zeros((112, 96, 3), np.uint8)])
    stored = ShardImages(tmp_path)
    assert stored.read([0]).shape == (1, 112, 112, 3)
    assert stored.read([]).shape == (0, 112, 112, 3)
    with pytest.raises(DataError, match=r"another size[\s\S]*im1"):
        stored.read([0, 1])


def test_pixel_features_keep_colour_and_lose_brightness():
    red, grey = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 90, np.uint8)
    red[..., 0] = 90
    assert pixel_features(red).reshape(4, 3).tolist() == [[60, -30, -30]] * 4
    assert not pixel_features(grey).any()


def test_regions_of_several_folders(data):
    large, small = (
        cosine(patches[A, 0], patches[B, 0])
        for patches in (
            read_embeddings(data / "region_embeddings" / name, with_patches=True).patches
            for name in ("p56", "p28_x14_y0")
        )
    )
    scorers, found = opened(data, "regions"), scored(data, "regions")
    combined = ["regions:28", "regions:56", "regions:28_56"]
    assert list(found) == [*combined, "regions:p28_x14_y0", "regions:p56_x0_y28"]
    assert [name for name, scorer in scorers.items() if scorer.in_headline] == combined
    assert [name for name, scorer in scorers.items() if scorer.is_cosine] == list(found)[3:]
    np.testing.assert_array_equal(found["regions:p56_x0_y28"], large)
    np.testing.assert_array_equal(found["regions:p28_x14_y0"], small)
    for name, expected in (("28", 2 * small), ("56", large / 2), ("28_56", 3 * large - small)):
        assert found[f"regions:{name}"].dtype == np.float32
        np.testing.assert_allclose(found[f"regions:{name}"], expected, rtol=0, atol=1e-6)  # float32
    with pytest.raises(DataError, match="missing"):
        scored(data, "regions", **{"with": "region_weights/absent"})


def test_regions_twice_or_not_at_all_are_refused(data):
    source, copy = (data / "region_embeddings" / name for name in ("p56", "twin"))
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"twice[\s\S]*p56_x0_y28[\s\S]*twin"):
        scored(data, "regions")
    with pytest.raises(DataError, match="have no regions"):
        scored(data, "regions", of="embed")
    with pytest.raises(DataError, match="no region features"):
        scored(data, "regions", of="anchors")


def test_weights_of_other_regions_and_lacking_combinations_are_refused(data):
    weights = data / "region_weights/logistic/weights.json"
    write_region_fits(weights, {"56": region_fit(p56_x0_y28=0.5)})
    with pytest.raises(DataError, match=r"other positions[\s\S]*p28_x14_y0"):
        scored(data, "regions")
    write_region_fits(weights, {"28_56": region_fit(p28_x14_y0=-1.0, p56_x0_y28=3.0)})
    with pytest.raises(DataError, match=r"other combinations[\s\S]*28_56[\s\S]*56"):
        scored(data, "regions")


@pytest.mark.parametrize("form", ["sum", "product"])
def test_dam_columns(data, form):
    vectors, folder = read_embeddings(data / "embed/net").vectors, data / "anchors/real"
    found = scored(data, "dam", form=form)
    assert list(found) == ["dam:r", "dam:l"]
    a, b = vectors[A], vectors[B]
    anchors, regressor = read_anchors(folder / ANCHORS_FILE).vectors, read_lid(folder / LID_FOLDER, 1.0, 3)
    by_search = [log_lid(nearest_cosines(side, anchors, 3), 1.0) for side in (a, b)]
    by_regressor = [regressor.log_lid(side) for side in (a, b)]
    for name, lids in (("dam:r", by_search), ("dam:l", by_regressor)):
        expected = log_dam(cosine(a, b), *lids, 1.0, product=form == "product")
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5)  # float32


def test_dam_refuses_anchors_among_the_pairs(data):
    found = read_anchors(data / "anchors/real" / ANCHORS_FILE)
    known = Anchors(found.image_ids, [*found.identities[:5], "id3"], found.vectors, "net", 1.0, 3, "real", STATE)
    write_anchors(data / "anchors/real" / ANCHORS_FILE, known)
    with pytest.raises(DataError, match=r"\['id3'\]"):
        opened(data, "dam")
    # Images 6 and 7, which are id3, are in none of these pairs.
    write_table(data / "ingest/pairs.parquet", pair_table(PAIR_ROWS[:3]), PAIRS)
    assert list(opened(data, "dam")) == ["dam:r", "dam:l"]


def test_dam_refuses_what_does_not_fit_together(data):
    found, path = read_anchors(data / "anchors/real" / ANCHORS_FILE), data / "anchors/real" / ANCHORS_FILE
    names = found.image_ids, found.identities
    with pytest.raises(DataError, match=r"another network[\s\S]*net[\s\S]*other"):
        opened(data, "dam", of="embed/other")
    with pytest.raises(DataError, match=r"of one network[\s\S]*net.*other"):
        opened(data, "dam", of="embed")
    with pytest.raises(DataError, match="build_anchors"):
        opened(data, "dam", **{"with": "anchors/absent"})
    write_anchors(path, Anchors(*names, found.vectors, "net", 1.0, 3, "real", "earlier"))
    with pytest.raises(DataError, match=r"another state of net[\s\S]*earlier[\s\S]*digest"):
        opened(data, "dam")
    write_anchors(path, Anchors(*names, found.vectors, "net", 1.0, 4, "real", STATE))
    with pytest.raises(CheckpointError, match="another s or k"):
        opened(data, "dam")
    write_anchors(path, Anchors(*(each[:2] for each in names), found.vectors[:2], "net", 1.0, 3, "real", STATE))
    with pytest.raises(DataError, match=r"too few anchors[\s\S]*column dam:r"):
        scored(data, "dam")


@pytest.fixture
def lookups(monkeypatch) -> list[int]:
    """Grows by the length of every column that is gone through for rows."""
    found, rows = list[int](), Texts.rows

    def counted(self, texts):
        found.append(len(self))
        return rows(self, texts)

    monkeypatch.setattr(Texts, "rows", counted)
    return found


@pytest.mark.parametrize("name", ["cosine", "regions", "raw_pixel"])
def test_images_are_looked_up_once_however_many_blocks_of_pairs_there_are(data, name, lookups, monkeypatch):
    found, counts = [], []
    for pairs_a_block in (512, 3, 1):
        monkeypatch.setattr(columns, "PAIR_BLOCK", pairs_a_block)
        lookups.clear()
        found.append(scored(data, name))
        counts.append(len(lookups))
    assert counts[0] == counts[1] == counts[2] > 0
    for other in found[1:]:
        for column, values in found[0].items():
            # float32 sums of up to 37,632 pixels, whose order follows the size of a block
            np.testing.assert_allclose(other[column], values, rtol=0, atol=2e-5)


def test_region_cosines_look_their_images_up_once(data, lookups, monkeypatch):
    monkeypatch.setattr(features, "PAIR_BLOCK", 2)
    stored = features.open_region_features(data / "region_embeddings")
    keys_a, keys_b = ([f"im{row[side]}" for row in PAIR_ROWS] for side in (2, 3))
    found = features.region_cosines(stored, keys_a, keys_b)
    assert len(lookups) == 2 * len(POSITIONS)  # a side and a folder
    alone = scored(data, "regions")
    for place, position in enumerate(stored.positions):
        np.testing.assert_array_equal(found[:, place], alone[f"regions:{position}"])
