"""Embedding of images: the mirror rule, the order of patches, region features."""

import numpy as np
import pytest
import torch
from fitted_networks import SPECS, network, pictures

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.grid import LAYOUTS, layout_positions, parse_region
from pipeline_lib.networks.backbones import dlib_resnet, iresnet
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.extract import (
    embed_images,
    embed_region_images,
    mirrored_patches,
    to_network_input,
)

# float32 convolutions over another batch or a mirrored image add up in another order; features are of about 1.
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module", params=SPECS)
def model(request) -> FaceNetwork:
    return network(SPECS[request.param])


def test_shapes_and_batches(model):
    images = pictures(3)
    vectors, patches = embed_images(model, images, mirror=True, batch_size=3)
    assert vectors.shape == (3, model.spec.embedding_dim)
    assert patches.shape[:2] == (3, len(model.grid))
    assert vectors.dtype == patches.dtype == np.float32
    one_by_one = embed_images(model, images, mirror=True, batch_size=1)
    np.testing.assert_allclose(one_by_one[0], vectors, **CLOSE)
    np.testing.assert_allclose(one_by_one[1], patches, **CLOSE)
    assert np.abs(vectors[0] - vectors[1]).max() > 0.1  # the images are told apart at all


def test_without_mirror_it_is_the_network(model):
    images = pictures(2)
    vectors, patches = embed_images(model, images, mirror=False, batch_size=2)
    x = torch.from_numpy(images / 127.5 - 1).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        np.testing.assert_allclose(vectors, model(x).numpy(), **CLOSE)
        np.testing.assert_allclose(patches, model.patch_features(x).numpy(), **CLOSE)


def test_a_mirrored_image_has_the_same_embedding_and_mirrored_patches(model):
    images = pictures(1)
    vectors, patches = embed_images(model, images, mirror=True, batch_size=1)
    mirrored_vectors, mirrored = embed_images(model, images[:, :, ::-1], mirror=True, batch_size=1)
    np.testing.assert_allclose(mirrored_vectors, vectors, **CLOSE)
    np.testing.assert_allclose(mirrored[:, mirrored_patches(model.grid)], patches, **CLOSE)


def test_mirroring_adds_the_two_images_features(model):
    images = pictures(1)
    both, patches = embed_images(model, images, mirror=True, batch_size=1)
    plain, plain_patches = embed_images(model, images, mirror=False, batch_size=1)
    flipped, flipped_patches = embed_images(model, images[:, :, ::-1], mirror=False, batch_size=1)
    np.testing.assert_allclose(both, plain + flipped, **CLOSE)
    for place, (x, y, w, h) in enumerate(model.grid.tolist()):
        partner = next(i for i, box in enumerate(model.grid.tolist()) if box == [112 - w - x, y, w, h])
        expected = plain_patches[:, place] + flipped_patches[:, partner]
        np.testing.assert_allclose(patches[:, place], expected, **CLOSE)


@pytest.mark.parametrize("name", ["rrfnet56", "rrfnet28"])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_mean_of_an_rrfnets_patches_is_its_embedding(name, mirror):
    vectors, patches = embed_images(network(SPECS[name]), pictures(2), mirror, batch_size=2)
    np.testing.assert_allclose(patches.mean(axis=1), vectors, rtol=1e-5, atol=1e-5)  # a float32 mean of 5 or 33


def test_no_images(model):
    vectors, patches = embed_images(model, pictures(0), mirror=True, batch_size=4)
    assert vectors.shape == (0, model.spec.embedding_dim)
    assert patches.shape[:2] == (0, len(model.grid))


def test_golden_network_input():
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, 0, 1] = [255, 51, 0]  # top right: red 255, green 51, blue 0
    x = to_network_input(image, network(SPECS["iresnet"]))
    assert x.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(x[0, :, 0, 1], [1.0, -0.6, -1.0], rtol=0, atol=1e-6)  # float32
    assert x[0, :, 1, 0].tolist() == [-1.0, -1.0, -1.0]


def test_wrong_images_are_refused(model):
    for images in (pictures(1).astype(np.float32), pictures(1)[:, :, :96], pictures(1)[0]):
        with pytest.raises(DataError, match="another shape or type"):
            embed_images(model, images, mirror=True, batch_size=1)


def test_a_grid_that_is_not_its_own_mirror_image_is_refused():
    with pytest.raises(DataError, match=r"mirror image[\s\S]*56"):
        mirrored_patches(np.array([[0, 0, 56, 56]], np.int64))
    assert mirrored_patches(np.array([[0, 0, 56, 56], [56, 0, 56, 56], [28, 0, 56, 56]])).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("side", "layout"), [(side, layout) for side, layouts in LAYOUTS.items() for layout in layouts]
)
def test_patches_of_a_centred_grid_are_mirrored_exactly(side, layout):
    boxes = [(x, y, side, side) for x, y in layout_positions(side, layout).tolist()]
    wanted = [boxes.index((112 - side - x, y, side, side)) for x, y, _, _ in boxes]
    assert mirrored_patches(np.array(boxes)).tolist() == wanted


@pytest.mark.parametrize("cells", [8, 4])
def test_cells_beside_the_middle_are_mirrored_about_their_own(cells):
    """dlib's convolutions do not pad: its 8 columns end 6 px nearer to the left of the crop than to the right."""
    model = network(dlib_resnet.Spec(published=False, cells=cells))
    order = mirrored_patches(model.grid)
    assert order.reshape(cells, cells).tolist() == np.arange(cells**2).reshape(cells, cells)[:, ::-1].tolist()
    images = pictures(1)
    _, patches = embed_images(model, images, mirror=True, batch_size=1)
    _, mirrored = embed_images(model, images[:, :, ::-1], mirror=True, batch_size=1)
    assert np.abs(mirrored - patches).max() > 0.01 * np.abs(patches).max()
    np.testing.assert_allclose(mirrored[:, order], patches, rtol=1e-4, atol=1e-4 * np.abs(patches).max())


def test_a_grid_further_off_or_with_gaps_is_refused():
    def moved(px: int) -> np.ndarray:
        """A row with 4 + px pixels to its left and 28 - px to its right."""
        return np.array([[px + x, 0, 20, 20] for x in range(4, 84, 20)])

    with pytest.raises(DataError, match="own mirror image"):
        mirrored_patches(moved(0))
    assert mirrored_patches(moved(12)).tolist() == [3, 2, 1, 0]
    assert mirrored_patches(moved(3)).tolist() == [3, 2, 1, 0]  # 18 px more on the right: less than a column
    with pytest.raises(DataError, match=r"own mirror image[\s\S]*\(56, 0, 20, 20\)"):
        mirrored_patches(np.delete(moved(12), 2, axis=0))
    with pytest.raises(DataError, match="own mirror image"):
        mirrored_patches(np.array([[0, 0, 28, 28], [28, 0, 28, 28], [56, 0, 28, 28], [84, 14, 28, 28]]))


REGIONS = [parse_region(name) for name in ("p56_x0_y28", "p56_x28_y28", "p28_x14_y0")]


def region_network(size_px: int, seed: int, dim: int = 16) -> FaceNetwork:
    return network(iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=dim, input_px=size_px), seed)


def test_region_features_are_of_the_place_and_of_its_mirrored_partner():
    networks = {region: region_network(region.size_px, seed) for seed, region in enumerate(REGIONS)}
    images = pictures(2)
    found = embed_region_images(networks, images, batch_size=1)
    assert found.shape == (2, 3, 16)
    for place, ((x, y, s), model) in enumerate(
        zip([(0, 28, 56), (28, 28, 56), (14, 0, 28)], networks.values(), strict=True)
    ):
        left = torch.from_numpy(images[:, y : y + s, x : x + s] / 127.5 - 1).permute(0, 3, 1, 2).float()
        flipped = np.ascontiguousarray(images[:, :, ::-1])
        right = torch.from_numpy(flipped[:, y : y + s, x : x + s] / 127.5 - 1).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            np.testing.assert_allclose(found[:, place], (model(left) + model(right)).numpy(), **CLOSE)
    # So a mirrored image has the same region features.
    np.testing.assert_allclose(embed_region_images(networks, images[:, :, ::-1], batch_size=2), found, **CLOSE)
    assert embed_region_images(networks, images[:0], batch_size=2).shape == (0, 3, 16)


def test_region_networks_of_different_lengths_are_refused():
    networks = {REGIONS[0]: region_network(56, 0, 16), REGIONS[1]: region_network(56, 0, 8)}
    with pytest.raises(DataError, match=r"embedding length[\s\S]*p56_x28_y28': 8"):
        embed_region_images(networks, pictures(1), batch_size=1)
