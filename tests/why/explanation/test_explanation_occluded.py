"""Occluded faces embedded in part: equal to whole occluded faces drawn one by one, with how much of them is computed."""

import numpy as np
import pytest
import torch

from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.occluded_embeddings import occluded_embeddings
from pipeline_lib.why.explanation.shared.occluded_patches import touched
from pipeline_lib.why.explanation.shared.occluders import mirrored, occluded, occluders

IMAGE = np.random.default_rng(3).uniform(-1, 1, (3, 112, 112)).astype(np.float32)


def some_squares() -> np.ndarray:
    """All four corners and borders, one pixel, the whole face, and some of each size, in no order."""
    edges = [(0, 0, 7), (105, 0, 7), (0, 105, 7), (105, 105, 7), (84, 84, 28), (98, 41, 14), (33, 98, 14), (111, 50, 1)]
    drawn = occluders()[np.random.default_rng(0).permutation(1130)[:12]][:, :3].tolist()
    return np.array([(x, y, side, side) for x, y, side in [*edges, *drawn, (0, 0, 112), (55, 55, 1)]])


def drawn_one_by_one(squares: np.ndarray) -> np.ndarray:
    images = np.stack([IMAGE] * len(squares))
    for image, (x, y, w, h) in zip(images, squares, strict=True):
        image[:, y : y + h, x : x + w] = -1
    return images


def with_statistics(network: FaceNetwork) -> FaceNetwork:
    """Normalised by the statistics of noise, or its embeddings would hardly depend on the image."""
    network.train()
    with torch.no_grad():
        network(torch.randn(6, 3, 112, 112, generator=torch.Generator().manual_seed(0)))
    return network.eval()


def test_there_are_1130_squares():
    found = occluders()
    sides, numbers = np.unique(found[:, 2], return_counts=True)
    assert dict(zip(sides.tolist(), numbers.tolist(), strict=True)) == {7: 441, 14: 400, 28: 289}
    assert found[[0, 1, 21, 440, 441, -1]].tolist() == [
        [0, 0, 7, 7], [5, 0, 7, 7], [0, 5, 7, 7], [100, 100, 7, 7], [0, 0, 14, 14], [80, 80, 28, 28],
    ]  # fmt: skip
    np.testing.assert_array_equal(mirrored(mirrored(found)), found)
    assert mirrored(found)[0].tolist() == [105, 0, 7, 7]


@pytest.mark.parametrize("images_per_batch", [1, 5, 22, 100])
def test_squares_are_drawn_into_one_array_and_wiped_out(images_per_batch):
    squares, kept = some_squares(), IMAGE.copy()
    batches, arrays = [], set()
    for batch in occluded(IMAGE, squares, images_per_batch):
        assert len(batch) <= images_per_batch
        assert batch.transpose(0, 2, 3, 1).flags.c_contiguous  # channels_last
        arrays.add(batch.__array_interface__["data"][0])
        batches.append(batch.copy())
    np.testing.assert_array_equal(np.concatenate(batches), drawn_one_by_one(squares))
    np.testing.assert_array_equal(IMAGE, kept)
    assert len(arrays) == 1


SPECS = {
    "iresnet": iresnet.Spec(blocks=(1, 2, 1, 2), width=0.125, embedding_dim=16),
    "rrfnet56": iresnet.Spec(
        blocks=(1, 1, 1, 1), width=0.125, embedding_dim=16, patches={"side_px": 56, "layout": "cross5"}
    ),
    "rrfnet28": iresnet.Spec(
        blocks=(1, 1, 1, 1), width=0.125, embedding_dim=16, patches={"side_px": 28, "layout": "no_corners33"}
    ),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("fold", [False, True], ids=["as_it_is", "folded"])
def test_embeddings_are_those_of_whole_occluded_faces(mirror, name, fold):
    network, squares = with_statistics(build_network(SPECS[name], 1)), some_squares()
    embedder = Embedder(folded(network) if fold else network, mirror, images_per_batch=4)
    found = occluded_embeddings(embedder, IMAGE, squares)
    assert embedder.num_forward == len(squares) * (1 + mirror)
    wanted = Embedder(network, mirror, images_per_batch=8)(drawn_one_by_one(squares))
    clean = Embedder(network, mirror, images_per_batch=8)(IMAGE[None])
    changes = np.abs(wanted - clean).max(axis=1)
    assert np.median(changes) > 0.01 * np.abs(clean).max()
    # float32 sums in another order; the squares change the embeddings thousands of times as much
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_patches_touched_are_those_that_share_pixels():
    grid = build_network(SPECS["rrfnet28"]).grid
    squares = some_squares()
    wanted = set()
    for i, (x, y, w, h) in enumerate(squares.tolist()):
        covered = np.zeros((112, 112), bool)
        covered[y : y + h, x : x + w] = True
        for k, (left, top, side, _) in enumerate(grid.tolist()):
            lines, columns = np.nonzero(covered[top : top + side, left : left + side])
            if len(lines):
                wanted.add((i, k, columns.min(), lines.min(), columns.max() + 1, lines.max() + 1))
    found = touched(grid, squares).tolist()
    assert len(found) == len(wanted)
    assert set(map(tuple, found)) == wanted


def test_a_square_that_touches_no_patch_changes_nothing():
    network = with_statistics(build_network(SPECS["rrfnet28"], 1))
    embedder = Embedder(network, True, images_per_batch=4)
    corners = np.array([[0, 0, 14, 14], [98, 98, 14, 14], [105, 0, 7, 7]])
    found = occluded_embeddings(embedder, IMAGE, corners)
    np.testing.assert_allclose(found, np.repeat(embedder(IMAGE[None]), 3, axis=0), rtol=1e-4, atol=1e-6)  # float32


def test_a_sixth_of_the_patches_is_computed():
    """Of RRFNet-28: the squares touch 16.9 % of its patches."""
    network, seen = build_network(SPECS["rrfnet28"], 1).eval(), []
    assert len(touched(network.grid, occluders())) < 0.17 * 1130 * 33
    hook = network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    squares = occluders()[::20]
    occluded_embeddings(Embedder(network, False, images_per_batch=3), IMAGE, squares)
    hook.remove()
    assert sum(seen) == 33 + len(touched(network.grid, squares))
    assert max(seen) == 3 * 33
