"""Decision-based replacement: a curve by hand, a slow loop written another way, cells, ties."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.squares import draw_squares
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.faithfulness.patched_pairs import PatchedPair, patched_pair
from pipeline_lib.why.faithfulness.replacement import replaced_image, replacement_scores, returned_pixels

PARTNER = np.array([1.0, 0.0], np.float32)
LEFT = np.arange(112)[None].repeat(112, 0) < 56
GRID = np.array([(x, y, 16, 16) for y in range(0, 112, 16) for x in range(0, 112, 16)])


def mean_of_pixels(images):
    """Embeddings whose cosine with PARTNER is the mean of an image's pixels, in [-1, 1]."""
    means = images.mean(axis=(1, 2, 3), dtype=np.float64)
    return np.stack([means, np.sqrt(1 - means**2)], axis=1).astype(np.float32)


def half_white() -> PatchedPair:
    """A black image whose left half was made white: the mean is 0, of the clean image -1."""
    black, white = np.zeros((112, 112, 3), np.uint8), np.full((112, 112, 3), 255, np.uint8)
    return patched_pair(np.stack([black, black]), white, LEFT)


def curve(found: Explanation, threshold: float) -> np.ndarray:
    pair = half_white()
    returned = returned_pixels(pair.changed, found, threshold, np.random.default_rng(0))
    return replacement_scores(mean_of_pixels, pair, PARTNER, returned)


def explained(left: float, right: float, **parts) -> Explanation:
    maps = np.stack([np.where(LEFT, np.float32(left), np.float32(right))] * 2)
    return Explanation(maps, score=0.0, **parts)


DOWN_AT_ONCE = np.array([max(-s / 10, -1.0) for s in range(1, 21)])
DOWN_LATE = np.array([min(-(s - 10) / 10, 0.0) for s in range(1, 21)])


@pytest.mark.parametrize(
    ("left", "threshold", "expected"),
    [
        (1.0, -0.5, DOWN_AT_ONCE),  # a match, whose white half is called similar: each 5 % of the pixels takes 0.1 off
        (-1.0, -0.5, DOWN_LATE),  # a match, whose black half is called similar: 50 % of the pixels change nothing
        (1.0, 0.5, DOWN_LATE),  # no match: the least similar come first, which is the black half
        (-1.0, 0.5, DOWN_AT_ONCE),
        (1.0, 0.0, DOWN_AT_ONCE),  # a score at the threshold is a match
    ],
)
def test_curves_worked_by_hand(left, threshold, expected):
    # A step is 627.2 pixels, of which whole ones are taken: half a pixel is 2 · 0.5 / 12544 of the mean.
    np.testing.assert_allclose(curve(explained(left, 0.0), threshold), expected, rtol=0, atol=1e-4)


def slow_order(values, boxes, descending, ties):
    """The pixels in their order, one after the other: sorted in Python by value and tie, cells spelt out."""
    if boxes is None:
        pixels = [(y, x) for y in range(112) for x in range(112)]
        units = [[pixel] for pixel in pixels]
        of_unit = [float(values[pixel]) for pixel in pixels]
    else:
        units = [[(y + dy, x + dx) for dy in range(h) for dx in range(w)] for x, y, w, h in boxes.tolist()]
        of_unit = [float(np.mean([values[pixel] for pixel in unit])) for unit in units]
    order = sorted(range(len(units)), key=lambda unit: (-of_unit[unit] if descending else of_unit[unit], ties[unit]))
    return [units[unit] for unit in order]


@pytest.mark.parametrize("threshold", [0.2, 0.4], ids=["match", "no match"])
@pytest.mark.parametrize("boxes", [None, GRID], ids=["pixels", "cells"])
def test_steps_are_those_of_a_loop(faces, boxes, threshold):
    pair = patched_pair(faces, faces[1], draw_squares(np.random.default_rng(1)))
    rng = np.random.default_rng(2)
    maps = rng.integers(-20, 20, size=(2, 112, 112)).astype(np.float32)  # many ties
    if boxes is not None:
        maps = rng.integers(-3, 4, size=(2, 7, 7)).repeat(16, axis=1).repeat(16, axis=2).astype(np.float32)
    found = Explanation(maps, score=0.3, boxes=boxes)
    returned = returned_pixels(pair.changed, found, threshold, np.random.default_rng(7))
    assert returned.shape == (20, 112, 112)
    num = 112 * 112 if boxes is None else len(boxes)
    ties = np.random.default_rng(7).permutation(num)
    order = slow_order(maps[0], boxes, threshold == 0.2, ties)
    image = pair.images[0].copy()
    done = 0
    for step in range(1, 21):
        while done < round(step * num / 20):
            for pixel in order[done]:
                if pair.changed[pixel]:
                    image[pixel] = pair.original[pixel]
            done += 1
        np.testing.assert_array_equal(replaced_image(pair, returned[step - 1]), image)
    np.testing.assert_array_equal(image, faces[0])


def test_terms_make_a_method_one_of_pixels():
    """An additive method has boxes, too, but values for single pixels."""
    cells = explained(1.0, 0.0, boxes=np.array([[0, 0, 112, 112]]))
    pixels = explained(1.0, 0.0, boxes=np.array([[0, 0, 112, 112]]), terms=np.zeros((1, 1)))
    assert curve(pixels, -0.5)[0] == pytest.approx(-0.1, abs=1e-4)
    # One cell: half of the steps are nearer to none of it. (Half of one rounds to the even 0.)
    assert curve(cells, -0.5).tolist() == pytest.approx([0.0] * 10 + [-1.0] * 10)


def test_overlapping_cells_and_pixels_of_none():
    """A pixel comes with the first of its cells; what no cell covers comes last."""
    boxes = np.array([[0, 0, 60, 112], [40, 0, 60, 112]])  # 40..59 are in both, 100..111 in none
    maps = np.zeros((2, 112, 112), np.float32)
    maps[:, :, :40], maps[:, :, 60:100] = -1.0, 1.0
    changed = np.ones((112, 112), bool)
    returned = returned_pixels(changed, Explanation(maps, 0.5, boxes=boxes), 0.0, np.random.default_rng(0))
    assert [columns.tolist() for columns in np.unique(returned[:, 0], axis=0)] == [
        [False] * 112,
        [False] * 40 + [True] * 60 + [False] * 12,
        [True] * 112,
    ]
    assert returned[-1].all()


def test_equal_values_go_by_the_generator(faces):
    pair, flat = half_white(), explained(0.0, 0.0)
    one, again, other = (returned_pixels(pair.changed, flat, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    # Uniform over the face, so half of what is up for return was changed.
    assert one.mean(axis=(1, 2))[9] == pytest.approx(0.25, abs=0.02)


def test_an_embedding_without_direction_is_refused():
    pair = half_white()
    with pytest.raises(DataError, match="zero"):
        replacement_scores(
            lambda images: np.zeros((len(images), 2), np.float32), pair, PARTNER, np.ones((20, 112, 112), bool)
        )
