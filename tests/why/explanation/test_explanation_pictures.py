"""What a picture shows: sign and strength in the overlay, a readable PNG, nothing that varies between runs."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import decode_png
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import contribution_matrix, patch_contributions, pixel_map
from pipeline_lib.why.explanation.shared.pictures import Decision, heatmap_overlay, pair_picture

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
    assert decode_png(png).shape == (594, 1056, 3)
    assert png == draw(decision=Decision(0.4, True))
    assert b"tEXtSoftware" not in png


def test_the_verdict_is_the_calibration_s() -> None:
    """A score at the threshold is no match, one whose calibration says otherwise is: the picture compares nothing."""
    match, no_match = (draw(decision=Decision(0.4, match)) for match in (True, False))
    assert match != no_match
    assert draw() not in (match, no_match)


@pytest.mark.parametrize("num_patches", [1, 2])
def test_few_patches_and_a_score_of_zero_are_drawn(num_patches: int) -> None:
    assert decode_png(draw(num_patches)).shape == (594, 1056, 3)
    assert decode_png(draw(num_patches, scale=0.0)).shape == (594, 1056, 3)


def test_a_method_without_terms_has_the_faces_alone() -> None:
    height, width, _ = decode_png(draw(with_terms=False)).shape
    assert (width, height < 594 // 1.5) == (1056, True)


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
    assert decode_png(shown).shape == (594, 1056, 3)
