"""K-fold accuracy: folds worked by hand, ties, refusals."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.protocols.kfold import cosine_fold_accuracy, score_fold_accuracy
from pipeline_lib.matching.verification.threshold import best_threshold

# Two folds of one genuine and one impostor pair; squared distances 0.25, 1.0 | 0.8, 1.8.
COSINES = np.array([0.875, 0.5, 0.6, 0.1])
GENUINE = np.array([True, False, True, False])
FOLDS = np.array([0, 0, 1, 1])


def test_golden_cosine_folds():
    # Fold 1 is separated first by d < 0.81, which judges all of fold 0 rightly; fold 0 first by d < 0.26, which refuses
    # fold 1's genuine pair. Thresholds as cosines: 1 - 0.81/2 and 1 - 0.26/2.
    found = cosine_fold_accuracy(COSINES, GENUINE, FOLDS)
    assert found.accuracies.tolist() == [1.0, 0.5]
    np.testing.assert_allclose(found.thresholds, [0.595, 0.87], rtol=0, atol=1e-15)  # rounding of 1 - t/2
    assert (found.mean, found.std) == (0.75, 0.25)  # population deviation; the sample's would be 0.354


def test_golden_score_folds():
    # Fold 1's middle is 0.35: fold 0's impostor (0.5) passes. Fold 0's is 0.6875: fold 1's genuine pair (0.6) does not.
    found = score_fold_accuracy(COSINES, GENUINE, FOLDS)
    assert found.accuracies.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(found.thresholds, [0.35, 0.6875], rtol=0, atol=1e-15)


def test_the_held_out_fold_has_no_part_in_its_threshold():
    cosines = np.tile(COSINES, 5)
    folds = np.repeat(np.arange(10), 2)
    genuine = np.tile(GENUINE, 5)
    before = cosine_fold_accuracy(cosines, genuine, folds)
    changed = cosines.copy()
    changed[folds == 3] = [-0.9, 0.99]
    after = cosine_fold_accuracy(changed, genuine, folds)
    assert after.thresholds[3] == before.thresholds[3]
    assert after.accuracies[3] == 0.0


def test_folds_keep_their_numbers_and_need_not_be_contiguous():
    shuffled = np.array([2, 0, 3, 1])
    found = cosine_fold_accuracy(COSINES[shuffled], GENUINE[shuffled], np.array([7, 4])[FOLDS][shuffled])
    assert found.folds.tolist() == [4, 7]
    assert found.accuracies.tolist() == [0.5, 1.0]


def test_identical_images_and_opposites_are_within_the_steps():
    found = cosine_fold_accuracy([1.0, -1.0, 1.0 + 1e-7, -1.0], GENUINE, FOLDS)  # 1e-7: what float32 rounding gives
    assert found.mean == 1.0


@pytest.mark.parametrize("accuracy", [cosine_fold_accuracy, score_fold_accuracy])
def test_refusals(accuracy):
    with pytest.raises(DataError, match="two folds"):
        accuracy(COSINES, GENUINE, np.zeros(4, int))
    with pytest.raises(DataError, match=r"single class[\s\S]*fold 0"):
        accuracy(COSINES, np.array([True, False, True, True]), FOLDS)
    with pytest.raises(DataError, match="NaN"):
        accuracy([np.nan, 0, 0, 0], GENUINE, FOLDS)
    with pytest.raises(DataError, match="do not belong together"):
        accuracy(COSINES, GENUINE, FOLDS[:3])
    with pytest.raises(DataError, match="do not belong together"):
        accuracy(COSINES, GENUINE, FOLDS.astype(float))


def test_best_threshold_is_the_strictest_of_equals():
    # 0.75 and 0.25 (middles) both give 3 of 4; accepting nobody gives 2.
    threshold, accuracy = best_threshold([1.0, 0.5, 0.5, 0.0], np.array([True, True, False, False]))
    assert (threshold, accuracy) == (0.75, 0.75)


def test_best_threshold_may_accept_nobody_or_everybody():
    nobody, accuracy = best_threshold([0.9, 0.1], np.array([False, True]))
    assert (nobody, accuracy) == (0.9, 0.5)
    everybody, accuracy = best_threshold([0.9, 0.2, 0.1], np.array([False, True, True]))
    assert accuracy == pytest.approx(2 / 3)
    assert everybody < 0.1


def test_best_threshold_separates_adjacent_floats():
    low = 1.0
    for high in (np.nextafter(1.0, 2.0), np.nextafter(np.nextafter(1.0, 2.0), 2.0)):
        threshold, accuracy = best_threshold([high, low], np.array([True, False]))
        assert accuracy == 1.0
        assert high > threshold >= low
    threshold, _ = best_threshold(
        [np.nextafter(1.0, 2.0), np.nextafter(np.nextafter(1.0, 2.0), 2.0)], np.array([False, True])
    )
    assert np.nextafter(1.0, 2.0) <= threshold < np.nextafter(np.nextafter(1.0, 2.0), 2.0)
