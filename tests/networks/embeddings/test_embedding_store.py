"""The Arrow store of embeddings: what goes in comes out, and broken batches and files are refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.embeddings.store import (
    EmbeddingSet,
    EmbeddingWriter,
    StoredPatches,
    read_embeddings,
    write_embeddings,
)


def patches_of(folder: Path, keys: list[str]) -> np.ndarray:
    stored = StoredPatches(folder)
    return stored.read(stored.rows(keys))


GRID = np.array([[0, 28, 56, 56], [56, 28, 56, 56]], np.int64)


def make(first: int, num: int, with_patches: int) -> EmbeddingSet:
    """`num` images from number `first`; the last `with_patches` of them have patch features; all values tell."""
    numbers = range(first, first + num)
    keys = [f"im{number}" if number % 2 else f"im{number}+crop" for number in numbers]
    vectors = np.array([[number, number + 0.5, -number] for number in numbers], np.float32).reshape(num, 3)
    patches = np.array([np.arange(8) + 100 * number for number in numbers], np.float32).reshape(num, 2, 4)
    return EmbeddingSet(
        keys=keys,
        image_ids=[f"im{number}" for number in numbers],
        identities=[f"id{number // 3}" for number in numbers],
        splits=["test" if number % 3 else "train" for number in numbers],
        kinds=[None if number % 2 else "crop" for number in numbers],
        vectors=vectors,
        patches=patches[num - with_patches :],
        patch_keys=keys[num - with_patches :],
        grid=GRID,
    )


def test_one_set_round_trip(tmp_path):
    written = make(0, 5, 2)
    write_embeddings(tmp_path, written)
    read = read_embeddings(tmp_path, with_patches=True)
    for field in dataclasses.fields(EmbeddingSet):
        before, after = getattr(written, field.name), getattr(read, field.name)
        np.testing.assert_array_equal(before, after) if isinstance(before, np.ndarray) else None
        assert isinstance(before, np.ndarray) or before == after
    assert read.vectors.dtype == np.float32
    assert read_embeddings(tmp_path).patches is None
    assert read_embeddings(tmp_path).patch_keys == written.patch_keys


def test_batches_are_one_set_and_patches_are_found_by_key(tmp_path):
    with EmbeddingWriter(tmp_path, 3, GRID, 4) as writer:
        for first, num, with_patches in ((0, 4, 0), (4, 3, 3), (7, 0, 0), (7, 2, 1)):
            writer.write(make(first, num, with_patches))
    whole = make(0, 9, 9)
    read = read_embeddings(tmp_path, with_patches=True)
    assert read.keys == whole.keys
    np.testing.assert_array_equal(read.vectors, whole.vectors)
    wanted = [8, 5, 4, 5, 6]  # over two batches, out of order, one twice
    np.testing.assert_array_equal(patches_of(tmp_path, [whole.keys[i] for i in wanted]), whole.patches[wanted])
    assert patches_of(tmp_path, []).shape == (0, 2, 4)
    with pytest.raises(DataError, match=r"no patch features[\s\S]*im0\+crop"):
        patches_of(tmp_path, ["im5", "im0+crop"])
    assert read.rows(["im5", "im0+crop"]).tolist() == [5, 0]
    with pytest.raises(DataError, match=r"no embedding[\s\S]*im99"):
        read.rows(["im99"])


def test_sets_without_patches_without_vectors_and_without_rows(tmp_path):
    plain = dataclasses.replace(make(0, 3, 0), patches=None, patch_keys=[], grid=None)
    write_embeddings(tmp_path / "plain", plain)
    read = read_embeddings(tmp_path / "plain", with_patches=True)
    assert read.grid is None
    assert read.patches.shape == (0, 0, 0)
    np.testing.assert_array_equal(read.vectors, plain.vectors)
    regions = dataclasses.replace(make(0, 3, 3), vectors=np.zeros((3, 0), np.float32))
    write_embeddings(tmp_path / "regions", regions)
    assert read_embeddings(tmp_path / "regions").vectors.shape == (3, 0)
    np.testing.assert_array_equal(patches_of(tmp_path / "regions", regions.keys), regions.patches)
    write_embeddings(tmp_path / "empty", make(0, 0, 0))
    assert read_embeddings(tmp_path / "empty", with_patches=True).patches.shape == (0, 2, 4)


def with_value(value: float, field: str) -> EmbeddingSet:
    """A set with one bad number in row 1 of `field`."""
    made = make(0, 3, 3)
    getattr(made, field)[1, ..., 0] = value
    return made


@pytest.mark.parametrize("field", ["vectors", "patches"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_refused_by_key(tmp_path, field, value):
    with pytest.raises(DataError, match=r"NaN or infinite[\s\S]*im1"):
        write_embeddings(tmp_path, with_value(value, field))
    assert list(tmp_path.iterdir()) == []  # nothing half-written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": ["a", "a", "b"], "patch_keys": ["a", "a", "b"]}, "embedded twice"),
        ({"vectors": np.zeros((3, 4), np.float32)}, "another shape"),
        ({"patches": np.zeros((3, 2, 5), np.float32)}, "patch batch has another shape"),
        ({"patch_keys": ["x", "y", "z"]}, "no image of the batch"),
        ({"splits": ["test"]}, "differ in length"),
    ],
)
def test_broken_batches_are_refused(tmp_path, change, message):
    with pytest.raises(DataError, match=message), EmbeddingWriter(tmp_path, 3, GRID, 4) as writer:
        writer.write(dataclasses.replace(make(0, 3, 3), **change))


def test_a_key_of_an_earlier_batch_is_refused(tmp_path):
    with EmbeddingWriter(tmp_path, 3, GRID, 4) as writer:
        writer.write(make(0, 4, 0))
        with pytest.raises(DataError, match=r"embedded twice[\s\S]*im3"):
            writer.write(make(3, 2, 0))


def test_missing_truncated_and_foreign_files(tmp_path):
    with pytest.raises(DataError, match="run the embed stage"):
        read_embeddings(tmp_path)
    write_embeddings(tmp_path, make(0, 5, 2))
    path = tmp_path / "patches.arrow"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="truncated or no Arrow file"):
        read_embeddings(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="truncated or no Arrow file"):
        patches_of(tmp_path, ["im4"])
    path.write_bytes((tmp_path / "embeddings.arrow").read_bytes())
    with pytest.raises(DataError, match="other columns"):
        patches_of(tmp_path, ["im4"])
