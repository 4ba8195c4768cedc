"""The score columns: mean-centring by hand, pixels, regions and DAM from files."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.cosine import cosine, unit
from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.matching.dam.anchors import Anchors, write_anchors
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LidSettings, fit_lid, write_lid
from pipeline_lib.matching.regions.bootstrap import Uncertainty
from pipeline_lib.matching.regions.fits import RegionFit, write_region_fits
from pipeline_lib.matching.regions.weights import RegionWeights
from pipeline_lib.matching.verification.scores import (
    centred_cosines,
    cosine_scores,
    dam_scores,
    pixel_features,
    raw_pixel_scores,
    region_scores,
)
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.schemas.pairs import PAIRS

RNG = np.random.default_rng(0)
NUM = 8


def embedded(vectors: np.ndarray) -> EmbeddingSet:
    """Images im0.. of identities id0, id0, id1, id1, ... in the test split."""
    names = [f"im{i}" for i in range(len(vectors))]
    identities = [f"id{i // 2}" for i in range(len(vectors))]
    plain = ["test"] * len(vectors), [None] * len(vectors)
    return EmbeddingSet(names, names, identities, *plain, vectors.astype(np.float32), None, [])


def pair_table(rows: list[tuple[str, int, int, int]]) -> pa.Table:
    keys = ("protocol", "fold", "image_a", "image_b", "genuine")
    return table_from_rows(
        [dict(zip(keys, (p, f, f"im{a}", f"im{b}", a // 2 == b // 2), strict=True)) for p, f, a, b in rows], PAIRS
    )


PAIR_TABLE = pair_table(
    [("lfw", 0, 0, 1), ("lfw", 0, 0, 2), ("lfw", 1, 4, 5), ("lfw", 1, 4, 7), ("val", 0, 2, 3), ("val", 1, 6, 7)]
)


def test_golden_centring():
    # The mean of fold 1's images, (1, 1), is taken off fold 0's; that of fold 0's, (1.5, 1.5), off fold 1's.
    vectors = np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 2.0], [1.0, 0.0]], np.float32)
    found = centred_cosines(vectors, np.array([0, 2]), np.array([1, 3]), np.array([0, 1]))
    # (1, 0)·(0, 1) = 0; (-0.5, 0.5)·(-0.5, -1.5) = -0.5 over √(0.5 · 2.5).
    np.testing.assert_allclose(found, [0.0, -0.5 / np.sqrt(1.25)], rtol=0, atol=1e-6)  # float32


def test_centring_undoes_a_common_offset_and_counts_an_image_once():
    vectors = RNG.normal(size=(NUM, 4)).astype(np.float32)
    a, b, folds = np.array([0, 2, 4, 6, 4, 4]), np.array([1, 3, 5, 7, 5, 5]), np.array([0, 0, 1, 1, 1, 1])
    found = centred_cosines(vectors + np.float32(5), a, b, folds)
    np.testing.assert_allclose(found, centred_cosines(vectors, a, b, folds), rtol=0, atol=1e-5)  # float32 at offset 5
    np.testing.assert_allclose(found[:2], centred_cosines(vectors, a[:4], b[:4], folds[:4])[:2], rtol=0, atol=1e-5)
    with pytest.raises(DataError, match="other folds"):
        centred_cosines(vectors, a, b, np.zeros(6, int))


def test_cosine_columns_centre_each_protocol_by_itself():
    vectors = RNG.normal(size=(NUM, 6)).astype(np.float32)
    found = cosine_scores(embedded(vectors), PAIR_TABLE, "net")
    assert list(found) == ["cosine:net", "cosine_centred:net"]
    np.testing.assert_array_equal(found["cosine:net"][0], cosine(vectors[0], vectors[1]))
    lfw = centred_cosines(vectors, np.array([0, 0, 4, 4]), np.array([1, 2, 5, 7]), np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(found["cosine_centred:net"][:4], lfw)


def shards(folder: Path, images: list[np.ndarray]) -> ShardImages:
    from pipeline_lib.core.tables import write_table
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", "aligned", 3) as writer:
        for i, image in enumerate(images):
            about = {"image_id": f"im{i}", "identity": f"id{i // 2}", "split": "test", "score": 1.0}
            members = {"png": encode_png(image), "json": b"{}"}
            writer.write(f"im{i}", members, landmarks=np.zeros((5, 2), np.float32), **about)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)
    return ShardImages(folder)


def test_raw_pixels(tmp_path):
    images = [RNG.integers(0, 200, (112, 112, 3), dtype=np.uint8) for _ in range(NUM)]
    images[1] = images[0] + 50  # the same picture, brighter
    images[2] = 255 - images[0]  # its negative
    found = raw_pixel_scores(shards(tmp_path, images), PAIR_TABLE)
    np.testing.assert_allclose(found[:2], [1.0, -1.0], rtol=0, atol=1e-5)  # float32 sums of 37632 products
    flat = images[4].reshape(-1).astype(float), images[5].reshape(-1).astype(float)
    assert found[2] == pytest.approx(np.corrcoef(*flat)[0, 1], abs=1e-5)


def test_shard_images_of_another_size_are_named(tmp_path):
    images = shards(tmp_path, [np.zeros((112, 112, 3), np.uint8), np.zeros((112, 96, 3), np.uint8)])
    assert images.read([0]).shape == (1, 112, 112, 3)
    assert images.read([]).shape == (0, 112, 112, 3)
    with pytest.raises(DataError, match=r"another size[\s\S]*im1"):
        images.read([0, 1])


def test_pixel_features_keep_colour_and_lose_brightness():
    red, grey = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 90, np.uint8)
    red[..., 0] = 90
    assert pixel_features(red).reshape(4, 3).tolist() == [[60, -30, -30]] * 4
    assert not pixel_features(grey).any()


def fit(**weights: float) -> RegionFit:
    values = np.array(list(weights.values()))
    spread = Uncertainty(np.ones(len(values)), np.zeros((len(values), 2)), 2, 0)
    return RegionFit(RegionWeights(list(weights), values, 0.5, 1.0, {1.0: 0.1}), spread)


@pytest.fixture
def regions_folder(tmp_path) -> Path:
    """Two features an image: of p56_x0_y28 and of p28_x14_y0, in this order."""
    patches = np.random.default_rng(1).normal(size=(NUM, 2, 5)).astype(np.float32)
    grid = np.array([[0, 28, 56, 56], [14, 0, 28, 28]], np.int64)
    regions = embedded(np.zeros((NUM, 0)))
    write_embeddings(tmp_path, dataclasses.replace(regions, patches=patches, patch_keys=regions.keys, grid=grid))
    return tmp_path


def test_regions_from_files(regions_folder):
    from pipeline_lib.networks.embeddings.store import read_embeddings

    patches = read_embeddings(regions_folder, with_patches=True).patches
    weights = regions_folder / "weights.json"
    # In another order than the grid's: they are matched by name.
    fits = {
        "regions_28": fit(p28_x14_y0=2.0),
        "regions_56": fit(p56_x0_y28=0.5),
        "regions_28_56": fit(p28_x14_y0=-1.0, p56_x0_y28=3.0),
    }
    write_region_fits(weights, fits)
    combined, single = region_scores(regions_folder, weights, PAIR_TABLE)
    assert list(combined) == ["regions_28", "regions_56", "regions_28_56"]
    assert list(single) == ["region.p56_x0_y28", "region.p28_x14_y0"]
    large, small = (float(cosine(patches[4, i], patches[7, i])) for i in range(2))
    assert (single["region.p56_x0_y28"][3], single["region.p28_x14_y0"][3]) == (
        pytest.approx(large),
        pytest.approx(small),
    )
    for name, expected in (("regions_28", 2 * small), ("regions_56", large / 2), ("regions_28_56", 3 * large - small)):
        assert combined[name].dtype == np.float32
        assert combined[name][3] == pytest.approx(expected, abs=1e-6)  # float32
    with pytest.raises(DataError, match="missing"):
        region_scores(regions_folder, regions_folder / "absent.json", PAIR_TABLE)


def test_weights_of_other_regions_and_lacking_combinations_are_refused(regions_folder):
    weights = regions_folder / "weights.json"
    write_region_fits(weights, {"regions_56": fit(p56_x0_y28=0.5)})
    with pytest.raises(DataError, match=r"other positions[\s\S]*p28_x14_y0"):
        region_scores(regions_folder, weights, PAIR_TABLE)
    write_region_fits(weights, {"regions_28_56": fit(p28_x14_y0=-1.0, p56_x0_y28=3.0)})
    with pytest.raises(DataError, match=r"other combinations[\s\S]*regions_28_56[\s\S]*regions_56"):
        region_scores(regions_folder, weights, PAIR_TABLE)


@pytest.fixture
def anchors_folder(tmp_path) -> Path:
    vectors = unit(RNG.normal(size=(6, 4)))
    write_anchors(
        tmp_path / "anchors.arrow", Anchors([f"t{i}" for i in range(6)], [f"train{i}" for i in range(6)], vectors)
    )
    settings = LidSettings(8, 20, 8, 1e-3, [])
    write_lid(tmp_path / "lid", fit_lid(vectors, np.linspace(1, 2, 6), 1.0, 3, settings, seed=0))
    return tmp_path


def test_dam_columns(anchors_folder):
    from pipeline_lib.matching.dam.anchors import read_anchors
    from pipeline_lib.matching.dam.lid import read_lid

    vectors = RNG.normal(size=(NUM, 4)).astype(np.float32)
    found = dam_scores(embedded(vectors), anchors_folder, PAIR_TABLE, 1.0, 3)
    a, b = vectors[[0, 0, 4, 4, 2, 6]], vectors[[1, 2, 5, 7, 3, 7]]
    anchors, regressor = (
        read_anchors(anchors_folder / "anchors.arrow").vectors,
        read_lid(anchors_folder / "lid", 1.0, 3),
    )
    by_search = [log_lid(nearest_cosines(side, anchors, 3), 1.0) for side in (a, b)]
    by_regressor = [regressor.log_lid(side) for side in (a, b)]
    for name, lids in (("dam_r", by_search), ("dam_l", by_regressor)):
        np.testing.assert_allclose(found[name], log_dam(cosine(a, b), *lids, 1.0), rtol=0, atol=1e-5)  # float32


def test_dam_refuses_anchors_among_the_pairs_and_missing_files(anchors_folder, tmp_path):
    known = embedded(RNG.normal(size=(NUM, 4)))
    known.identities[7] = "train3"
    with pytest.raises(DataError, match=r"\['train3'\]"):
        dam_scores(known, anchors_folder, PAIR_TABLE, 1.0, 3)
    dam_scores(known, anchors_folder, PAIR_TABLE.slice(0, 3), 1.0, 3)  # image 7 is in none of these pairs
    strangers = embedded(RNG.normal(size=(NUM, 4)))
    with pytest.raises(DataError, match="too few anchors"):
        dam_scores(strangers, anchors_folder, PAIR_TABLE, 1.0, 7)
    with pytest.raises(CheckpointError, match="another s or k"):
        dam_scores(strangers, anchors_folder, PAIR_TABLE, 1.0, 4)
    with pytest.raises(DataError, match="build_anchors"):
        dam_scores(strangers, tmp_path / "absent", PAIR_TABLE, 1.0, 3)
