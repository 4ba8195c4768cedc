"""Cutting: against one loop a pixel, and mirror images."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shards_loops import cut_by_pixel

from pipeline_lib.data.patches.cut import cut_patches, cut_region
from pipeline_lib.data.patches.grid import Region, layout_positions, unique_regions


@settings(max_examples=15, deadline=None)
@given(data=st.data(), size_px=st.integers(1, 6), num_images=st.integers(0, 2), channels_last=st.booleans())
def test_cut_patches_is_the_loop(data, size_px, num_images, channels_last):
    height, width = 9, 7
    places = st.tuples(st.integers(0, width - size_px), st.integers(0, height - size_px))
    positions = data.draw(st.lists(places, min_size=1, max_size=5))
    images = np.random.default_rng(0).standard_normal((num_images, 3, height, width)).astype(np.float32)
    batch = torch.from_numpy(images)
    if channels_last and num_images:
        batch = batch.contiguous(memory_format=torch.channels_last)
    patches = cut_patches(batch, np.array(positions, np.int64), size_px)
    assert patches.shape == (num_images, len(positions), 3, size_px, size_px)
    assert np.array_equal(patches.numpy(), cut_by_pixel(images, positions, size_px))


def test_the_gradient_counts_how_often_a_pixel_was_cut():
    images = torch.zeros(1, 1, 112, 112, requires_grad=True)
    positions = layout_positions(56, "cross5")
    cut_patches(images, positions, 56).sum().backward()
    counted = np.zeros((112, 112))
    for x, y in positions.tolist():
        counted[y : y + 56, x : x + 56] += 1
    assert np.array_equal(images.grad[0, 0].numpy(), counted)


def test_layouts_cut_whole_patches_and_keep_the_type():
    images = torch.arange(112 * 112, dtype=torch.int32).reshape(1, 1, 112, 112).expand(2, 3, 112, 112)
    for size_px, layout, count in ((28, "no_corners33", 33), (56, "cross5", 5)):
        patches = cut_patches(images, layout_positions(size_px, layout), size_px)
        assert patches.shape == (2, count, 3, size_px, size_px)
        assert patches.dtype == torch.int32
        corners = [112 * y + x for x, y in layout_positions(size_px, layout).tolist()]
        assert patches[0, :, 0, 0, 0].tolist() == corners


def test_places_outside_the_image_are_refused():
    images = torch.zeros(1, 3, 112, 112)
    for positions in ([[57, 0]], [[0, -1]], [[0, 0], [0, 100]], np.zeros((0, 2))):
        with pytest.raises(ValueError, match="56 px squares"):
            cut_patches(images, np.array(positions, np.int64), 56)


IMAGE = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)


@pytest.mark.parametrize("margin_px", [0, 5, 20])
@pytest.mark.parametrize("size_px", [28, 56])
def test_cut_region_is_the_padded_image_cut(size_px, margin_px):
    padded = np.pad(IMAGE, ((margin_px, margin_px), (margin_px, margin_px), (0, 0)), mode="edge")
    for region in unique_regions(size_px):
        side = size_px + 2 * margin_px
        cut = cut_region(IMAGE, region, margin_px)
        assert np.array_equal(cut, padded[region.y : region.y + side, region.x : region.x + side])


@pytest.mark.parametrize("size_px", [28, 56])
def test_the_mirrored_right_hand_patch_is_the_patch_of_the_mirrored_image(size_px):
    for region in unique_regions(size_px):
        mirrored = cut_region(IMAGE, region.mirror, 5)[:, ::-1]
        assert np.array_equal(mirrored, cut_region(IMAGE[:, ::-1], region, 5))


def test_every_shift_within_the_margin_finds_its_pixels():
    region = Region(56, 28, 28)
    cut = cut_region(IMAGE, region, 5)
    for dx, dy in ((-5, -5), (0, 0), (5, -3), (5, 5)):
        shifted = cut[5 + dy : 61 + dy, 5 + dx : 61 + dx]
        assert np.array_equal(shifted, IMAGE[28 + dy : 84 + dy, 28 + dx : 84 + dx])


def test_a_cut_is_a_copy():
    image = IMAGE.copy()
    cut_region(image, Region(28, 0, 0), 0)[:] = 0
    assert np.array_equal(image, IMAGE)
