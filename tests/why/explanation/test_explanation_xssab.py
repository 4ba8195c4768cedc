"""xSSAB: against finite differences, its counts of passes, its symmetries, and what it refuses."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.why.explanation import xssab
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.threshold import equal_error

RNG = np.random.default_rng(0)
THRESHOLD = 0.3


@pytest.fixture(params=["iresnet", "rrfnet56"])
def embedder(request, mirror, network_named) -> Embedder:
    """Around a network of whole faces and one of patches, with and without mirrored images."""
    return Embedder(network_named(request.param), mirror, images_per_batch=8, threshold=THRESHOLD)


def explain(embedder: Embedder, faces: np.ndarray, **settings: object) -> Explanation:
    return xssab.explain(embedder, embedder.pair(faces, with_patches=False), xssab.Settings(**settings), RNG)


def test_the_map_is_that_of_finite_differences(mirror, network_named, faces):
    """S+ and S- in float64, one pixel and channel moved at a time, with the other image's vector held."""
    embedder = Embedder(network_named("iresnet"), mirror, images_per_batch=8, threshold=THRESHOLD)
    found = explain(embedder, faces)
    inputs = embedder.pair(faces, with_patches=False).inputs.astype(np.float64)
    exact = Embedder(embedder.network.double(), embedder.mirror, 8)
    units = [exact(image[None])[0] for image in inputs]
    units = [unit / np.linalg.norm(unit) for unit in units]
    speaks_for = units[0] * units[1] >= THRESHOLD / len(units[0])
    assert 0 < speaks_for.sum() < len(speaks_for)  # or one of the halves would be empty
    step = 1e-5
    for image, y, x in ((0, 40, 50), (0, 91, 17), (1, 60, 60), (1, 20, 99)):
        slopes = np.zeros((2, 3))
        for channel in range(3):
            halves = []
            for sign in (1, -1):
                moved = inputs[image].copy()
                moved[channel, y, x] += sign * step
                vector = exact(moved[None])[0]
                arguments = vector / np.linalg.norm(vector) * units[1 - image]
                halves.append((arguments[speaks_for].sum(), arguments[~speaks_for].sum()))
            slopes[:, channel] = (np.array(halves[0]) - halves[1]) / (2 * step)
        plus, minus = np.abs(slopes).mean(axis=1)
        assert found.maps[image, y, x] == pytest.approx(plus - minus, rel=2e-3, abs=2e-3 * (plus + minus))


def test_one_forward_and_two_backward_passes_give_both_images(embedder, faces):
    pair, passes = embedder.pair(faces, with_patches=False), Counter[str]()
    first = next(module for module in embedder.network.modules() if isinstance(module, torch.nn.Conv2d))
    handles = [
        embedder.network.register_forward_hook(lambda *_: passes.update(["forward"])),
        first.register_full_backward_hook(lambda *_: passes.update(["backward"])),
    ]
    xssab.explain(embedder, pair, xssab.Settings(), RNG)
    for handle in handles:
        handle.remove()
    views = 2 if embedder.mirror else 1
    assert passes == {"forward": views, "backward": 2 * views}


def test_the_threshold_decides_which_arguments_speak_for_a_match(embedder, faces):
    all_for, none_for = (
        explain(Embedder(embedder.network, embedder.mirror, 8, threshold), faces).maps for threshold in (-99.0, 99.0)
    )
    assert (all_for >= 0).all()
    np.testing.assert_allclose(all_for, -none_for, rtol=1e-4, atol=1e-7)
    mixed = explain(embedder, faces).maps
    assert mixed.min() < 0 < mixed.max()


def test_swapped_faces_have_swapped_maps(embedder, faces):
    there, back = explain(embedder, faces).maps, explain(embedder, faces[::-1]).maps
    np.testing.assert_allclose(there, back[::-1], rtol=1e-3, atol=1e-4 * np.abs(there).max())


def test_blurred_maps_are_for_pictures(embedder, faces):
    sharp, blurred = explain(embedder, faces), explain(embedder, faces, blur=True)
    weights = np.exp(-(np.arange(-2, 3.0) ** 2) / 50)
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    wanted = (sharp.maps[1, 48:53, 28:33] * kernel).sum()
    assert blurred.maps[1, 50, 30] == pytest.approx(wanted, rel=1e-4, abs=1e-6 * float(np.abs(sharp.maps).max()))
    assert blurred.score == sharp.score


def test_what_cannot_be_explained_is_named(network_named, faces):
    network = network_named("iresnet")
    with pytest.raises(DataError, match=r"found on validation pairs; there are none[\s\S]*ingest\.val_share"):
        explain(Embedder(network, False, 8), faces)
    embedder = Embedder(network, False, 8, THRESHOLD)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    with pytest.raises(DataError, match="feature vector is zero"):
        explain(embedder, faces)
    pair = Embedder(network_named("iresnet"), False, 8).pair(faces)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match="A gradient of the score is not finite"):
        xssab.explain(embedder, pair, xssab.Settings(), RNG)


def test_the_threshold_is_that_of_the_validation_pairs(tmp_path: Path):
    angles = {"a0": 0.0, "a1": 0.2, "b0": 1.0, "b1": 1.3, "t": 0.0}
    vectors = np.array([[np.cos(angle), np.sin(angle)] for angle in angles.values()], np.float32)
    labels = (list(angles), list(angles), ["n"] * 5, ["val"] * 5, [None] * 5, vectors, None, [])
    (tmp_path / "embed").mkdir()
    write_embeddings(tmp_path / "embed", EmbeddingSet(*labels))
    rows = [
        ("val", "a0", "a1", True),
        ("val", "b0", "b1", True),
        ("val", "a0", "b1", False),
        ("val", "a1", "b0", False),
    ]
    rows += [("val", "a0", "gone", False), ("lfw", "a0", "t", False)]  # not aligned; of another protocol
    names = ("protocol", "image_a", "image_b", "genuine")
    table = [{"fold": 0, **dict(zip(names, row, strict=True))} for row in rows]
    write_table(tmp_path / "pairs.parquet", table_from_rows(table, PAIRS), PAIRS)
    found = equal_error(tmp_path / "embed", tmp_path / "pairs.parquet", "val")
    assert found == pytest.approx((0.0, np.cos(0.3)), abs=1e-6)
    write_table(tmp_path / "one.parquet", table_from_rows(table[:2], PAIRS), PAIRS)
    assert equal_error(tmp_path / "embed", tmp_path / "one.parquet", "val") is None
    assert equal_error(tmp_path / "embed", tmp_path / "one.parquet", "none such") is None
