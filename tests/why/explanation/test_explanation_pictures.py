"""What a picture shows: sign and strength in the overlay, a readable PNG, nothing that varies between runs."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import contribution_matrix, patch_contributions, pixel_map
from pipeline_lib.why.explanation.shared.pictures import (
    MAX_BARS,
    Decision,
    _shown_bars,
    heatmap_overlay,
    map_layer,
    pair_picture,
    scale_of_maps,
)

GREY = np.full((8, 8, 3), 128, np.uint8)
BOXES = np.array([[0, 28, 56, 56], [28, 0, 56, 56], [56, 28, 56, 56], [28, 56, 56, 56], [28, 28, 56, 56]])


def test_the_overlay_is_orange_for_support_purple_for_objection_and_grey_at_zero() -> None:
    saliency = np.zeros((8, 8))
    saliency[0], saliency[1] = 1.0, -1.0
    shown = heatmap_overlay(GREY, saliency, limit=1.0).astype(int)
    support, objection, nothing = shown[0, 0], shown[1, 0], shown[2, 0]
    assert support[0] > support[1] > support[2]
    assert objection[2] > objection[0] > objection[1]
    assert nothing.tolist() == [128, 128, 128]


def test_strength_is_symmetric_and_saturates() -> None:
    saliency = np.array([[0.5, -0.5, 1.0, 7.0]])
    shown = heatmap_overlay(GREY[:1, :4], saliency, limit=1.0).astype(int)
    distance = np.abs(shown - 128).sum(axis=2)[0]
    assert 0 < distance[0] < distance[2]
    assert distance[1] > 0
    np.testing.assert_array_equal(shown[0, 2], shown[0, 3])


def test_maps_that_cannot_be_drawn_are_errors() -> None:
    for saliency, limit in ((np.zeros((8, 7)), 1.0), (np.full((8, 8), np.nan), 1.0), (np.zeros((8, 8)), 0.0)):
        with pytest.raises(DataError):
            heatmap_overlay(GREY, saliency, limit)


def draw(num_patches: int = 5, decision: Decision | None = None, scale: float = 1.0, with_terms: bool = True) -> bytes:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, size=(2, 112, 112, 3)).astype(np.uint8)
    terms = scale * contribution_matrix(*(rng.normal(size=(2, num_patches, 8)) + 0.5))
    boxes = BOXES[:num_patches]
    maps = np.stack([pixel_map(c, boxes) for c in patch_contributions(terms)]).astype(np.float32)
    split = (terms, boxes) if with_terms else ()
    return pair_picture(faces, Explanation(maps, float(terms.sum()), *split), decision=decision, caption="genuine pair")


def test_the_picture_is_a_png_of_full_size_and_the_same_every_time() -> None:
    png = draw(decision=Decision(0.4, True))
    assert decode_image(png).shape == (627, 1056, 3)
    assert png == draw(decision=Decision(0.4, True))
    assert b"tEXtSoftware" not in png


def test_the_verdict_is_the_calibration_s() -> None:
    """A score at the threshold is no match, one whose calibration says otherwise is: the picture compares nothing."""
    match, no_match = (draw(decision=Decision(0.4, match)) for match in (True, False))
    assert match != no_match
    assert draw() not in (match, no_match)


@pytest.mark.parametrize("num_patches", [1, 2])
def test_few_patches_and_a_score_of_zero_are_drawn(num_patches: int) -> None:
    assert decode_image(draw(num_patches)).shape == (627, 1056, 3)
    assert decode_image(draw(num_patches, scale=0.0)).shape == (627, 1056, 3)


def test_a_method_without_terms_has_the_faces_alone() -> None:
    height, width, _ = decode_image(draw(with_terms=False)).shape
    assert (width, height < 627 // 1.5) == (1056, True)


def test_small_patches_are_outlined_in_their_surroundings() -> None:
    """Cells of 8 px alone show nothing; those at the border are shown as far as the image reaches."""
    boxes = np.array([[0, 0, 8, 8], [104, 104, 8, 8], [52, 52, 8, 8]])
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, size=(2, 112, 112, 3)).astype(np.uint8)
    explanation = Explanation(np.zeros((2, 112, 112), np.float32), 0.5, np.eye(3) / 6, boxes)
    shown = pair_picture(faces, explanation)
    around = faces.copy()
    around[:, 62:65, 52:60] = 0  # below the third cell, within 28 px of it
    assert pair_picture(around, explanation) != shown
    assert decode_image(shown).shape == (627, 1056, 3)


def test_a_layer_over_the_grey_face_is_the_overlay() -> None:
    saliency = np.random.default_rng(0).normal(size=(8, 8))
    layer = np.asarray(Image.open(io.BytesIO(map_layer(saliency, 2.0)))).astype(float)
    assert layer.shape == (8, 8, 4)
    blended = 128 * (1 - layer[..., 3:] / 255) + layer[..., :3] * layer[..., 3:] / 255
    np.testing.assert_allclose(blended, heatmap_overlay(GREY, saliency, 2.0), atol=1.5)  # both round to whole numbers


def test_the_scale_is_the_largest_of_sums_and_leaves_peaks_of_gradients_out() -> None:
    maps = np.full((2, 10, 10), -0.5)
    maps[0, 0, 0] = 3.0
    assert scale_of_maps(maps, are_sums=True)[0] == 3.0
    assert scale_of_maps(maps, are_sums=False)[0] == 0.5
    assert scale_of_maps(np.zeros((2, 10, 10)), are_sums=False)[0] == 1.0


def test_bars_are_of_the_strongest_patches_and_the_rest_is_one() -> None:
    values = np.zeros(50)
    values[[7, 20, 31]] = 0.5, -0.4, 0.3
    shown = _shown_bars(values)
    assert len(shown) == MAX_BARS
    assert (shown[0], shown[1], shown[-1]) == (7, 31, 20)
    assert _shown_bars(np.array([0.1, -0.2, 0.3])).tolist() == [2, 0, 1]


def test_both_photographs_sums_are_drawn() -> None:
    """Terms with equal rows and unequal columns: what B's patches add changes the picture, A's being the same."""
    maps, faces = np.zeros((2, 112, 112), np.float32), np.zeros((2, 112, 112, 3), np.uint8)
    even = np.full((5, 5), 0.02)
    skewed = even + np.array([0.01, -0.01, 0.0, 0.0, 0.0])
    pictures = [pair_picture(faces, Explanation(maps, 0.5, terms, BOXES)) for terms in (even, skewed)]
    assert pictures[0] != pictures[1]


def test_many_patches_are_drawn() -> None:
    num_patches = MAX_BARS + 1
    y, x = np.divmod(np.arange(num_patches), 14)
    boxes = np.stack([8 * x, 8 * y, np.full_like(x, 8), np.full_like(x, 8)], axis=1)
    terms = np.full((num_patches, num_patches), 0.5 / num_patches**2)
    explanation = Explanation(np.zeros((2, 112, 112), np.float32), 0.5, terms, boxes)
    assert decode_image(pair_picture(np.zeros((2, 112, 112, 3), np.uint8), explanation)).shape == (627, 1056, 3)
