"""Templates of many images: features averaged in a medium, summed over media."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.matching.scores.shared.faces import Needs
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.stored import StoredFaces
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embedding.needed_rows import rows_of_pairs
from pipeline_lib.networks.embeddings.store import read_embeddings, write_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.templates import TEMPLATES
from tests.matching.scores.made import NUM, embedded, images, scored, write_data
from tests.matching.scores.made import PAIR_ROWS as IMAGE_PAIRS

# A video of im0 and im1 and a photograph im2 are template t1; t2 is im4, and an image that was not aligned.
MEMBERS = [
    ("t1", "im0", "video", 1.0),
    ("t1", "im1", "video", 1.0),
    ("t1", "im2", "im2", 1.0),
    ("t2", "im4", "im4", 1.0),
    ("t2", "gone", "gone", 1.0),
]
GONE = [("t3", "gone", "gone", 1.0)]
PAIR_ROWS = [("ijb", 0, "t1", "t2", False), ("ijb", 0, "t1", "im3", True), ("ijb", 1, "im4", "im5", True)]
DROPPED = ("ijb", 1, "t3", "im5", False)


def write_templates(
    data: Path, members: list[tuple[str, str, str, float]], pairs: list[tuple[str, int, str, str, bool]]
) -> None:
    rows = [dict(zip(TEMPLATES.names, row, strict=True)) for row in members]
    write_table(data / "ingest/templates.parquet", table_from_rows(rows, TEMPLATES), TEMPLATES)
    named = [dict(zip(PAIRS.names, (*row, "a group"), strict=True)) for row in pairs]
    write_table(data / "ingest/pairs.parquet", table_from_rows(named, PAIRS), PAIRS)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_data(tmp_path)
    write_templates(tmp_path, [*MEMBERS, *GONE], [*PAIR_ROWS, DROPPED])
    return tmp_path


def test_features_are_averaged_in_a_medium_and_summed_over_media(data):
    vectors = read_embeddings(data / "embed/net").vectors
    first = (vectors[0] + vectors[1]) / 2 + vectors[2]
    expected = [cosine(first, vectors[4]), cosine(first, vectors[3]), cosine(vectors[4], vectors[5])]
    np.testing.assert_allclose(scored(data, "cosine")["cosine:net"], expected, rtol=0, atol=1e-6)  # float32
    patches = read_embeddings(data / "region_embeddings/p56", with_patches=True).patches[:, 0]
    first = (patches[0] + patches[1]) / 2 + patches[2]
    found = scored(data, "regions")["regions:p56_x0_y28"]
    np.testing.assert_allclose(found[0], cosine(first, patches[4]), rtol=0, atol=1e-6)


def test_a_template_without_an_aligned_image_is_dropped_and_counted(data):
    pairs = read_pairs(data / "ingest/pairs.parquet", data / "align")
    assert pairs.table.num_rows == 3
    assert pairs.num_dropped == {"ijb": 1}
    assert pairs.table["group"].to_pylist() == ["a group"] * 3
    assert pairs.people == {"id0", "id1", "id2"}


def test_a_templates_pixels_are_the_mean_of_its_media(data):
    members = [("t1", "im0", "video"), ("t1", "im6", "video"), ("t1", "im7", "im7"), ("t2", "im4", "im4")]
    write_templates(data, [(*member, 1.0) for member in members], PAIR_ROWS)
    pictures = [picture.astype(np.float64).reshape(-1) for picture in images()]
    mean = np.rint(((pictures[0] + pictures[6]) / 2 + pictures[7]) / 2)
    expected = [np.corrcoef(mean, pictures[other])[0, 1] for other in (4, 3)]
    found = scored(data, "raw_pixel")["raw_pixel"]
    np.testing.assert_allclose(found[:2], expected, rtol=0, atol=1e-3)  # a pixel may round to its neighbour


def test_a_weight_multiplies_an_images_feature_before_the_mean(data):
    weighted = [
        ("t1", "im0", "video", 0.5),
        ("t1", "im1", "video", 0.25),
        ("t1", "im2", "im2", 0.125),
        ("t2", "im4", "im4", 0.9),
    ]
    write_templates(data, weighted, PAIR_ROWS)
    vectors = read_embeddings(data / "embed/net").vectors
    first = (0.5 * vectors[0] + 0.25 * vectors[1]) / 2 + 0.125 * vectors[2]
    expected = [cosine(first, vectors[4]), cosine(first, vectors[3]), cosine(vectors[4], vectors[5])]
    np.testing.assert_allclose(scored(data, "cosine")["cosine:net"], expected, rtol=0, atol=1e-6)  # float32


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), None])
def test_a_weight_of_nothing_is_refused(data, weight):
    write_templates(data, [("t1", "im0", "video", weight)], PAIR_ROWS[1:])
    with pytest.raises(DataError, match="weight of a template is not above 0"):
        read_pairs(data / "ingest/pairs.parquet", data / "align")


def test_a_template_named_as_an_image_is_refused(data):
    write_templates(data, [("im5", "im0", "im0", 1.0)], PAIR_ROWS[2:])
    with pytest.raises(DataError, match=r"name of an image[\s\S]*im5"):
        read_pairs(data / "ingest/pairs.parquet", data / "align")


def test_pairs_of_images_have_no_group_unless_one_is_written(tmp_path):
    write_data(tmp_path)
    assert read_table(tmp_path / "ingest/pairs.parquet", PAIRS)["group"].null_count == len(IMAGE_PAIRS)


def test_patch_features_of_a_network_are_put_together_as_its_vectors_are(data):
    patches = np.random.default_rng(3).normal(size=(NUM, 4, 5)).astype(np.float32)
    plain = embedded(np.ones((NUM, 6)))
    grid = np.array([(x, y, 56, 56) for y in (0, 56) for x in (0, 56)], np.int64)
    whole = dataclasses.replace(plain, patches=patches, patch_keys=plain.keys, grid=grid)
    write_embeddings(data / "embed/net", whole)
    needs = Needs(network="net", with_patches=True)
    pairs = read_pairs(data / "ingest/pairs.parquet", data / "align")
    stored = StoredFaces(Reads(data / "embed", data / "none", data / "align", pairs), [needs])
    found = stored.block(["im5", "t1", "im5"]).faces(needs)
    expected = [patches[5], (patches[0] + patches[1]) / 2 + patches[2], patches[5]]
    np.testing.assert_allclose(found.patches, expected, rtol=0, atol=1e-6)  # float32
    assert found.vectors[:, 0].tolist() == [1, 2, 1]  # a template of two media is their sum


def test_images_of_the_templates_in_pairs_are_embedded(data):
    write_templates(data, [*MEMBERS, ("unused", "im7", "im7", 1.0)], PAIR_ROWS)
    images = ShardImages(data / "align")
    rows = rows_of_pairs(images, data / "ingest/pairs.parquet")
    assert list(images.image_ids.take(rows)) == ["im0", "im1", "im2", "im3", "im4", "im5"]
