"""Patch-LFW's rule: squares, whose pixels, and that the draws are the pair's own."""

import numpy as np
import pytest

from pipeline_lib.data.patches.squares import draw_squares, draw_stranger
from pipeline_lib.why.explanation.shared.pair_sample import PATCHES, SampledPair
from pipeline_lib.why.faithfulness.patched_pairs import patched_pair

PAIR = SampledPair("lfw", "a", "b", "p", "p", True, 3, True, False, 17)


class Fixed:
    """A generator whose squares all lie at one place, the lowest and rightmost that there is."""

    def integers(self, high, size):
        return np.full(size, high - 1)


def test_squares_have_16_px_and_lie_inside():
    squares = draw_squares(Fixed())
    expected = np.zeros((112, 112), bool)
    expected[96:, 96:] = True
    np.testing.assert_array_equal(squares, expected)


def test_squares_are_27_drawn_by_the_pair_alone():
    squares = draw_squares(PAIR.rng(PATCHES))
    np.testing.assert_array_equal(squares, draw_squares(PAIR.rng(PATCHES)))
    slow = np.zeros((112, 112), bool)
    for y, x in PAIR.rng(PATCHES).integers(97, size=(27, 2)):
        for row in range(y, y + 16):
            for column in range(x, x + 16):
                slow[row, column] = True
    np.testing.assert_array_equal(squares, slow)
    assert 16 * 16 <= squares.sum() <= 27 * 16 * 16
    shares = [draw_squares(np.random.default_rng(seed)).mean() for seed in range(40)]
    # Away from the border a pixel is missed by a square with 1 - 256/97², and by all 27 with that to the 27th: 0.48.
    assert 0.35 < np.mean(shares) < 0.52


def test_pixels_change_within_squares_alone_and_where_the_faces_differ(faces):
    squares = draw_squares(PAIR.rng(PATCHES))
    source = faces[1].copy()
    source[:56] = faces[0, :56]  # alike in the upper half: nothing changes there
    patched = patched_pair(faces, source, squares)
    np.testing.assert_array_equal(patched.images[1], faces[1])
    np.testing.assert_array_equal(patched.original, faces[0])
    np.testing.assert_array_equal(patched.images[0][~squares], faces[0][~squares])
    np.testing.assert_array_equal(patched.images[0][squares], source[squares])
    assert not patched.changed[:56].any()
    # Noise of 256 values in three channels: two pixels are as good as never equal.
    np.testing.assert_array_equal(patched.changed[56:], squares[56:])


def test_a_stranger_is_somebody_else_and_anybody():
    identities = np.array(["anna", "ben", "anna", "carl"], object)
    drawn = {draw_stranger(identities, "anna", np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {1, 3}


@pytest.mark.parametrize("change", [{"number": 4}, {"genuine": False}, {"protocol": "cfp"}, {"seed": 18}])
def test_other_pairs_have_other_squares(change):
    other = SampledPair(**{**PAIR.__dict__, **change})
    assert not np.array_equal(draw_squares(other.rng(PATCHES)), draw_squares(PAIR.rng(PATCHES)))
