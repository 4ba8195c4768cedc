"""One photograph under two names or in two splits: found by its embedding, checked by its pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.world import World
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings import near_duplicates
from pipeline_lib.networks.embeddings.duplicate_search import find_near_duplicates
from pipeline_lib.networks.embeddings.near_duplicates import (
    COPIES,
    calibrate,
    evenly_spread,
    near_pairs,
    pixel_correlations,
)
from pipeline_lib.schemas.near_duplicates import NEAR_DUPLICATES
from tests.networks.embedding.fitted_networks import write_set

CPU = torch.device("cpu")
SPLITS = ["train"] * 24 + ["val"] * 6 + ["test"] * 6


def smooth_pictures(num: int) -> np.ndarray:
    """uint8 (num, 112, 112, 3) that look like photographs to a low-pass filter."""
    coarse = np.random.default_rng(5).integers(0, 256, (num, 9, 9, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (112, 112), interpolation=cv2.INTER_CUBIC) for picture in coarse])


def embed(images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """A photograph's luminance in 14 x 14 cells, as a network that tells photographs apart would."""
    cells = torch.from_numpy(images.astype(np.float32).mean(axis=3)).reshape(len(images), 14, 8, 14, 8).mean(dim=(2, 4))
    flat = cells.flatten(1)
    return flat - flat.mean(dim=1, keepdim=True), torch.zeros(len(images), 0, 0)


def slow_pairs(vectors, identities, splits, threshold):
    found = []
    for first in range(len(vectors)):
        for second in range(first + 1, len(vectors)):
            value = float(unit(vectors[first]) @ unit(vectors[second]))
            if value >= threshold and (identities[first], splits[first]) != (identities[second], splits[second]):
                found.append((-value, first, second))
    return [(first, second) for _, first, second in sorted(found)]


@pytest.mark.parametrize("most", [1, 7, 1000])
@pytest.mark.parametrize("block", [1, 8, 64])
def test_blocks_find_what_loops_do(monkeypatch, block, most):
    monkeypatch.setattr(near_duplicates, "BLOCK", block)
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((37, 5)).astype(np.float32)
    identities, splits = rng.integers(0, 6, 37), rng.integers(0, 2, 37)
    found = near_pairs(vectors, identities, splits, 0.5, most, CPU)
    slow = slow_pairs(vectors, identities, splits, 0.5)
    assert found.num_found == len(slow) > 7
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == slow[:most]


def test_one_identity_in_two_splits_counts_and_in_one_split_does_not():
    vectors = np.ones((3, 4), np.float32)
    found = near_pairs(vectors, np.array([0, 0, 0]), np.array([0, 0, 1]), 0.9, 10, CPU)
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 2), (1, 2)]


def test_no_images_and_no_pairs():
    for num in (0, 1):
        found = near_pairs(np.ones((num, 4), np.float32), np.zeros(num, int), np.zeros(num, int), 0.5, 10, CPU)
        assert (len(found.first), found.num_found) == (0, 0)


def test_a_vector_without_direction_is_refused():
    with pytest.raises(DataError, match="zero, NaN or infinite"):
        near_pairs(np.zeros((2, 4), np.float32), np.array([0, 1]), np.array([0, 0]), 0.5, 10, CPU)


def test_the_threshold_is_the_hardest_copy_s_and_is_said():
    originals = np.tile(np.float32([1, 0]), (100, 1))
    angles = {"easy": np.linspace(0, 0.1, 100), "hard": np.linspace(0, 1, 100)}
    copies = {kind: np.stack([np.cos(a), np.sin(a)], axis=1).astype(np.float32) for kind, a in angles.items()}
    found = calibrate(originals, copies)
    assert found.threshold == pytest.approx(np.cos(0.95), abs=0.01)
    assert found.found == {"easy": 1.0, "hard": pytest.approx(0.95, abs=0.011)}


def test_pixels_of_copies_correlate_and_of_other_pictures_do_not():
    pictures = smooth_pictures(20)
    for kind, copy in COPIES.items():
        assert pixel_correlations(pictures, np.stack([copy(picture) for picture in pictures])).min() > 0.9, kind
    np.testing.assert_allclose(pixel_correlations(pictures, pictures[:, :, ::-1]), 1.0, atol=1e-5)
    assert pixel_correlations(pictures, np.roll(pictures, 1, axis=0)).max() < 0.8
    assert pixel_correlations(np.full_like(pictures[:1], 9), pictures[:1]).tolist() == [0.0]


def test_copies_under_another_name_are_found_and_alike(tmp_path: Path) -> None:
    """Three copies, each of another kind, under people of other splits; nothing else is listed as the same photograph."""
    pictures = smooth_pictures(len(SPLITS))
    planted = {24: ("recompressed", 0), 30: ("cropped", 4), 33: ("grey", 26)}
    for place, (kind, original) in planted.items():
        pictures[place] = COPIES[kind](pictures[original])
    keys = [f"im{number:02d}" for number in range(len(SPLITS))]
    write_set(tmp_path / "align", keys, SPLITS, images=pictures)
    out = tmp_path / "out"
    out.mkdir()
    find_near_duplicates(out, embed, ShardImages(tmp_path / "align"), 8, World(0, 0, 1, CPU))
    table = read_table(out / "near_duplicates.parquet", NEAR_DUPLICATES).to_pylist()
    alike = {
        (row["image_a"], row["image_b"]) for row in table if row["pixel_correlation"] >= near_duplicates.SAME_PIXELS
    }
    assert alike == {(f"im{original:02d}", f"im{place:02d}") for place, (_, original) in planted.items()}
    assert all(row["identity_a"] != row["identity_b"] for row in table)
    assert table == sorted(table, key=lambda row: -row["cosine"])
    figures = read_json(out / "near_duplicates.json")
    assert figures["num_images"] == len(SPLITS)
    assert figures["num_pairs"] == figures["num_listed"] == len(table)
    assert figures["num_same_pixels"] == 3
    assert set(figures["found"]) == set(COPIES)
    assert min(figures["found"].values()) >= near_duplicates.COPIES_FOUND
    assert sorted(path.name for path in out.iterdir()) == ["near_duplicates.json", "near_duplicates.parquet"]


def test_images_are_taken_evenly():
    assert list(evenly_spread(10, 3)) == [0, 4, 8]
    assert list(evenly_spread(3, 10)) == [0, 1, 2]
    assert list(evenly_spread(0, 10)) == []
