"""Where the most similar patches lie, by hand and against loops."""

import numpy as np
import pytest

from pipeline_lib.why.faithfulness.same_position import same_position_share


def test_worked_by_hand():
    # A's patches find B's 0, 0, 2 (two at their own place), B's find A's 0, 0, 2 (two).
    terms = np.array([[5.0, 4.0, 0.0], [3.0, 1.0, 2.0], [0.0, 0.0, 9.0]])
    assert same_position_share(terms) == pytest.approx(4 / 6)
    # Rows: 1, 0; columns: 1, 0: none.
    assert same_position_share(np.array([[0.0, 1.0], [1.0, 0.0]])) == 0.0
    assert same_position_share(np.eye(4)) == 1.0


def test_equals_the_loops_and_both_images_count_alike():
    terms = np.random.default_rng(0).normal(size=(33, 33))
    hits = sum(all(terms[i, i] >= terms[i, j] for j in range(33)) for i in range(33))
    hits += sum(all(terms[j, j] >= terms[i, j] for i in range(33)) for j in range(33))
    assert same_position_share(terms) == pytest.approx(hits / 66)
    assert same_position_share(terms.T) == same_position_share(terms)
