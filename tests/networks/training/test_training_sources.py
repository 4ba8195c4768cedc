"""Training sets from shards: who is in, how they pair up, and when the digest changes."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.parallel import Workers
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.data.patches.patch_set import write_patch_sets
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.networks.training.labelled_images import training_faces, training_regions
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

PEOPLE = [("a_1", "Ann", "train"), ("a_2", "Ann", "train"), ("b_1", "Bob", "train"), ("c_1", "Cid", "test")]


def picture(side: int, value: int) -> bytes:
    return encode_png(np.full((side, side, 3), value, np.uint8))


def write_set(folder: Path, prefix: str, samples: list[tuple[str, str, str, str, dict[str, bytes]]]) -> None:
    """Samples (key, image_id, identity, split, members) as shards below folder, without their index."""
    folder.mkdir(parents=True)
    with ShardWriter(folder, prefix, images_per_shard=2) as writer:
        for key, image_id, identity, split, members in samples:
            landmarks = np.zeros((5, 2), np.float32)
            writer.write(
                key, members, image_id=image_id, identity=identity, split=split, landmarks=landmarks, score=1.0
            )
    index = folder.parent / "index.parquet" if folder.name == "shards" else folder / "index.parquet"
    write_table(index, writer.index(), SHARD_INDEX)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    faces = [
        (name, name, person, split, {"png": picture(112, 10 + i), "json": b"{}"})
        for i, (name, person, split) in enumerate(PEOPLE)
    ]
    write_set(tmp_path / "align" / "shards", "aligned", faces)
    drawn = [
        ("a_1+crop", "a_1", "Ann", "train", {"png": picture(112, 50), "json": b"{}"}),
        ("c_1+crop", "c_1", "Cid", "test", {"png": picture(112, 60), "json": b"{}"}),
    ]
    write_set(tmp_path / "occlude" / "shards", "occluded", drawn)
    rows = [
        {"key": key, "image_id": image_id, "kind": "crop", "purpose": purpose, "drawn": "{}"}
        for key, image_id, purpose in (("a_1+crop", "a_1", "train"), ("c_1+crop", "c_1", "query"))
    ]
    write_table(tmp_path / "occlude" / "occlusions.parquet", table_from_rows(rows, OCCLUSIONS), OCCLUSIONS)
    patches = [
        (name, name, person, split, {"patch.png": picture(38, 10 * i + 1), "mirror.png": picture(38, 10 * i + 2)})
        for i, (name, person, split) in enumerate(PEOPLE)
    ]
    write_set(tmp_path / "patches" / "p28_x0_y28", "patches", patches)
    return tmp_path


def test_faces_of_training_identities_and_the_occluded_ones_drawn_for_them(stored: Path) -> None:
    dataset = training_faces(stored / "align", stored / "occlude")
    assert dataset.classes == ("Ann", "Bob")
    assert dataset.labels.tolist() == [0, 0, 1, 0]
    assert [int(dataset.load(i, 0, 0, 0)[0][0, 0, 0]) for i in range(4)] == [10, 11, 12, 50]
    assert len(training_faces(stored / "align", None)) == 3


def test_regions_pair_a_patch_with_its_mirrored_partner(stored: Path) -> None:
    region = parse_region("p28_x0_y28")
    dataset = training_regions(stored / "patches" / region.name, region, margin_px=5)
    assert dataset.classes == ("Ann", "Bob")
    assert dataset.labels.tolist() == [0, 0, 1]
    for sample in range(3):
        seen = {int(dataset.load(sample, 5, 0, epoch)[0][0, 0, 0]) for epoch in range(20)}
        assert seen == {10 * sample + 1, 10 * sample + 2}
    assert dataset.load(0, 5, 0, 0)[0].shape == (28, 28, 3)


def test_regions_cut_from_faces_are_those_of_patch_shards(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (112, 112, 3), dtype=np.uint8) for _ in PEOPLE]
    faces = [
        (name, name, person, split, {"png": encode_png(image), "json": b"{}"})
        for image, (name, person, split) in zip(images, PEOPLE, strict=True)
    ]
    write_set(tmp_path / "align" / "shards", "aligned", faces)
    regions = [parse_region(name) for name in ("p28_x0_y84", "p28_x42_y14", "p56_x0_y0", "p56_x28_y56")]
    shards = Shards(format="png", images_per_shard=2)
    write_patch_sets(tmp_path / "align", tmp_path / "patches", regions, 5, shards, Workers(0))
    together = training_faces(tmp_path / "align", None, regions)
    for view, region in enumerate(regions):
        alone = training_regions(tmp_path / "patches" / region.name, region, margin_px=5)
        assert alone.labels.tolist() == together.labels.tolist()
        for epoch in range(12):  # every sample mirrored and not, shifted beyond the border
            for sample in range(len(alone)):
                expected = alone.load(sample, 5, 7, epoch)[0]
                assert np.array_equal(together.load(sample, 5, 7, epoch)[view], expected)


def test_a_patch_without_partner_is_named(stored: Path) -> None:
    folder = stored / "patches" / "p28_x14_y0"
    write_set(folder, "patches", [("a_1", "a_1", "Ann", "train", {"patch.png": picture(38, 1)})])
    with pytest.raises(DataError, match=r"no partner[\s\S]*a_1"):
        training_regions(folder, parse_region(folder.name), 5)


def test_digest_follows_the_data(stored: Path) -> None:
    digest = training_faces(stored / "align", None).digest
    assert digest == training_faces(stored / "align", None).digest
    assert digest != training_faces(stored / "align", stored / "occlude").digest
    shard = next((stored / "align" / "shards").iterdir())
    shard.write_bytes(shard.read_bytes() + b"\0" * 512)
    assert digest != training_faces(stored / "align", None).digest


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.parquet"):
        training_faces(tmp_path, None)
