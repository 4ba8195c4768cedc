"""Scores and decisions as a share of a face is blurred: against loops, by hand, and without a threshold."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.params.explain import Explain
from pipeline_lib.schemas.blurring import BLURRING
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair
from pipeline_lib.why.faithfulness import blurring
from pipeline_lib.why.faithfulness.blurring import Blurring, blurred_scores
from pipeline_lib.why.faithfulness.decisions import SHARES, SHOWN_SHARE, errors
from pipeline_lib.why.faithfulness.insertion_deletion import blur, draw_tie_ranks

SIDE = 10
RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(3, SIDE, SIDE)).astype(np.float32)
PARAMS = Explain(num_pairs=1, num_pictures=0, num_steps=2, insertion_blur_sigma_px=2.0, seed=1)


def embed(images):
    """(first pixel's red, all greens)."""
    return np.stack([images[:, 0, 0, 0], images[:, 1].sum(axis=(1, 2))], axis=1)


@pytest.mark.parametrize("most", [True, False])
def test_scores_equal_the_loops(most):
    saliency = RNG.integers(-3, 4, size=(SIDE, SIDE)).astype(np.float32)
    ties, partner = draw_tie_ranks(np.random.default_rng(1), SIDE * SIDE), np.array([0.6, 0.8], np.float32)
    found = blurred_scores(
        embed, IMAGE, partner, saliency, most=most, blur_sigma_px=2.0, tie_ranks=ties
    )  # fmt: skip
    sign = -1 if most else 1
    order = sorted(range(SIDE * SIDE), key=lambda pixel: (sign * saliency.reshape(-1)[pixel], ties[pixel]))
    soft = blur(IMAGE, 2.0)
    for share, score in zip(SHARES, found, strict=True):
        changed = IMAGE.copy()
        for pixel in order[: round(share * SIDE * SIDE)]:
            y, x = divmod(pixel, SIDE)
            changed[:, y, x] = soft[:, y, x]
        (vector,) = embed(changed[None]).astype(np.float64)
        assert score == pytest.approx(vector @ partner / np.linalg.norm(vector), abs=1e-6)  # float32 sums


def test_a_score_at_the_threshold_is_a_match():
    assert errors([0.2, 0.5, 0.7], 0.5, genuine=True).tolist() == [True, False, False]
    assert errors([0.2, 0.5, 0.7], 0.5, genuine=False).tolist() == [False, True, True]
    assert errors([[0.2], [0.7]], [[0.1], [0.9]], genuine=True).tolist() == [[False], [True]]


class Embedder:
    threshold = 0.5


def pair(number, genuine, is_measured=True):
    names = (f"p{number}", f"p{number}") if genuine else (f"p{number}", f"q{number}")
    return SampledPair("lfw", f"a{number}", f"b{number}", *names, genuine, number, is_measured, False, 0)


def test_rates_worked_by_hand(faces, monkeypatch, tmp_path):
    """Of three genuine pairs one fails as it is and two with the share blurred; of two impostor pairs one and none."""
    clean, at = [0.6, 0.4, 0.7, 0.8, 0.1], [0.4, 0.4, 0.7, 0.2, 0.1]
    scores = iter(zip(clean, at, strict=True))
    asked = []

    def made(embed, image, partner, saliency, *, most, **options):
        asked.append((partner.tolist(), most))
        first, last = next(scores)
        return np.array([first if share < SHOWN_SHARE else last for share in SHARES])

    monkeypatch.setattr(blurring, "blurred_scores", made)
    measure = Blurring("own", Embedder(), PARAMS)
    embedded = EmbeddedPair(faces, np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), None)
    found = Explanation(np.zeros((2, 112, 112), np.float32), 0.0)
    for number, genuine in enumerate([True, True, True, False, False]):
        measure.add(pair(number, genuine), embedded, found)
    measure.add(pair(9, True, is_measured=False), embedded, found)
    assert asked == [([1.0, 0.0], False)] * 3 + [([1.0, 0.0], True)] * 2  # B is blurred, A its partner
    figures = measure.write(tmp_path)
    means = {key: figures[f"lfw/{key}_mean"] for key in ("fpr", "fpr_blurred", "fnr", "fnr_blurred")}
    assert means == pytest.approx({"fpr": 1 / 2, "fpr_blurred": 0, "fnr": 1 / 3, "fnr_blurred": 2 / 3})
    assert 0 <= figures["lfw/fnr_low"] < 1 / 3 < figures["lfw/fnr_high"] <= 1
    table = read_table(tmp_path / "blurring.parquet", BLURRING)
    assert table["genuine"].to_pylist() == [True] * 3 + [False] * 2
    assert table["scores"].to_pylist()[3][:5] == [0.8] * 4 + [0.2]
    assert set(table["threshold"].to_pylist()) == {0.5}


def test_without_a_threshold_nothing_is_measured_and_the_log_says_so(faces, tmp_path, caplog):
    without = Embedder()
    without.threshold = None
    measure = Blurring("own", without, PARAMS)
    measure.add(pair(0, True), None, None)
    assert measure.write(tmp_path) == {}
    assert read_table(tmp_path / "blurring.parquet", BLURRING).num_rows == 0
    assert "own: no validation pairs gave a threshold" in caplog.text


def test_a_map_of_another_shape_is_refused():
    with pytest.raises(DataError, match="another shape"):
        blurred_scores(
            embed, IMAGE, np.ones(2, np.float32), np.zeros((3, 3)), most=True, blur_sigma_px=1.0,
            tie_ranks=np.arange(SIDE * SIDE),
        )  # fmt: skip
