"""Stored images embedded by one process or several: the same bytes, and what the slow way gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import embed_worker
import numpy as np
import pytest
from fitted_networks import SPECS, network, write_set

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.world import World
from pipeline_lib.networks.embedding.batches import embed_rows
from pipeline_lib.networks.embedding.extract import embed_images, face_features
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards
from pipeline_lib.networks.embeddings.store import read_embeddings

KEYS = [f"im{number:02d}" for number in range(20)]
OCCLUDED = ["im03+sunglasses", "im04+mask_n95", "im05+crop"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_set(folder / "align", KEYS, ["test"] * 20)
    write_set(folder / "occlude", OCCLUDED, ["test"] * 3)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_worlds_of_one_two_and_three_write_the_same_bytes(sets, tmp_path):
    command = [sys.executable, embed_worker.__file__, str(sets), str(tmp_path), "1", "2", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0], [0, 0], [0, 0, 0]], done.stderr
    written = ["embeddings.arrow", "near_duplicates.json", "near_duplicates.parquet", "patches.arrow"]
    assert sorted(tree(tmp_path / "1")) == written
    assert tree(tmp_path / "2") == tree(tmp_path / "1")
    assert tree(tmp_path / "3") == tree(tmp_path / "1")

    found = read_embeddings(tmp_path / "3", with_patches=True)
    assert found.keys == found.patch_keys == [*KEYS[1:19], "im05+crop", "im03+sunglasses"]
    assert found.kinds == [None] * 18 + ["crop", "sunglasses"]
    assert found.image_ids[-2:] == ["im05", "im03"]
    images = np.concatenate(
        [ShardImages(sets / "align").read(range(1, 19)), ShardImages(sets / "occlude").read([2, 0])]
    )
    model = network(SPECS["rrfnet56"])
    np.testing.assert_array_equal(found.grid, model.grid)
    # Not folded, all in one batch: sums in another order, of features of about 1.
    for stored, slow in zip((found.vectors, found.patches), embed_images(model, images, True, 20), strict=True):
        np.testing.assert_allclose(stored, slow, rtol=1e-4, atol=1e-4)


def test_embed_rows_are_the_images_asked_for_in_their_order(sets):
    model, images = network(SPECS["iresnet"]), ShardImages(sets / "align")
    rows = [7, 2, 19, 2, 11]
    vectors, none = embed_rows(model, images, rows, mirror=True, batch_size=2)
    assert none.shape == (5, 0, 0)
    expected, expected_patches = embed_images(model, images.read(rows), True, 2)
    np.testing.assert_array_equal(vectors, expected)
    _, patches = embed_rows(model, images, rows, mirror=True, batch_size=2, with_patches=True)
    np.testing.assert_array_equal(patches, expected_patches)


def test_an_unreadable_image_stops_it_and_leaves_nothing(sets, tmp_path):
    broken = tmp_path / "broken"
    write_set(broken, KEYS, ["test"] * 20)
    shard = sorted((broken / "shards").iterdir())[2]
    shard.write_bytes(shard.read_bytes()[:20000])
    model, images = network(SPECS["iresnet"]), ShardImages(broken)
    alone = World(0, 0, 1, next(model.parameters()).device)
    with pytest.raises(DataError, match=shard.name):
        embed_shards(tmp_path / "out", [Part(images, range(20))], face_features(model, False, False), None, 4, alone)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]
