"""DAM, its neighbour search and its regressor."""

import json

import numpy as np
import pytest

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LidRegressor, fit_lid, read_lid, write_lid
from pipeline_lib.params.anchors import Lid

RNG = np.random.default_rng(5)


def test_golden_lid_and_dam():
    # Neighbours at cos 0 and log 2 give G = 1 + 2 = 3; at 0 and 0, G = 2; cos = log 6: DAM = 6 (1/3 + 1/2) = 5.
    lids = log_lid([[np.log(2), 0.0], [0.0, 0.0]], scale=1.0)
    np.testing.assert_allclose(np.exp(lids), [3.0, 2.0], rtol=1e-15)  # one rounding of exp and log
    assert np.exp(log_dam([np.log(6)], lids[:1], lids[1:], 1.0)) == pytest.approx(5.0, rel=1e-14)
    assert np.exp(log_dam([np.log(6)], lids[:1], lids[1:], 1.0, product=True)) == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("scale", [0.5, 1.0, 8.0])
def test_equals_the_formula_of_the_paper_in_float64(scale):
    cosines = RNG.uniform(-1, 1, 50)
    near_a, near_b = RNG.uniform(-1, 1, (2, 50, 10))
    g_a, g_b = np.exp(scale * near_a).sum(axis=1), np.exp(scale * near_b).sum(axis=1)
    lids = log_lid(near_a, scale), log_lid(near_b, scale)
    expected = np.exp(scale * cosines) * (1 / g_a + 1 / g_b)
    np.testing.assert_allclose(np.exp(log_dam(cosines, *lids, scale)), expected, rtol=1e-13)  # a few float64 roundings
    expected = np.exp(scale * cosines) / (g_a * g_b)
    np.testing.assert_allclose(np.exp(log_dam(cosines, *lids, scale, product=True)), expected, rtol=1e-13)


def test_large_scales_neither_overflow_nor_vanish():
    # At s = 5000, exp(s) is beyond float64; k equal neighbours at cos 1 give log G = s + log k.
    lids = log_lid(np.ones((2, 4)), 5000.0)
    np.testing.assert_allclose(lids, 5000 + np.log(4), rtol=1e-15)
    assert log_dam([1.0], lids[:1], lids[1:], 5000.0) == pytest.approx(
        np.log(2 / 4), abs=1e-9
    )  # 5000 has 12 digits left


def test_equal_density_everywhere_leaves_the_order_of_the_cosine():
    cosines = np.sort(RNG.uniform(-1, 1, 30))
    flat = np.full(30, log_lid([[0.3, 0.2]], 1.0)[0])
    for product in (False, True):
        found = log_dam(cosines, flat, flat, 1.0, product)
        # Adding the same constant to s·cos: the differences are those of the cosine.
        np.testing.assert_allclose(np.diff(found), np.diff(cosines), rtol=0, atol=1e-14)


def test_a_crowded_neighbourhood_lowers_the_score():
    crowded, sparse = log_lid([[0.9, 0.8], [0.1, 0.0]], 1.0)
    assert log_dam(0.5, crowded, sparse, 1.0) < log_dam(0.5, sparse, sparse, 1.0)
    assert log_dam(0.5, crowded, sparse, 1.0) == log_dam(0.5, sparse, crowded, 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_dam_refuses_what_is_no_number(bad):
    with pytest.raises(DataError, match="NaN or infinite"):
        log_dam([bad], [0.0], [0.0], 1.0)
    with pytest.raises(DataError, match="finite"):
        log_lid([[0.0, bad]], 1.0)
    with pytest.raises(DataError, match="k >= 1"):
        log_lid(np.zeros((3, 0)), 1.0)
    for scale in (0.0, -1.0, bad):
        with pytest.raises(DataError, match="scale"):
            log_dam([0.0], [0.0], [0.0], scale)


def test_golden_nearest():
    anchors = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [3.0, 4.0]])
    found = nearest_cosines([[2.0, 0.0]], anchors, 3)
    np.testing.assert_allclose(found, [[1.0, 0.6, 0.0]], rtol=0, atol=1e-7)
    assert found.dtype == np.float32


def test_an_image_that_is_itself_an_anchor_leaves_itself_out():
    anchors = RNG.normal(size=(6, 4))
    everybody = nearest_cosines(anchors, anchors, 2)
    np.testing.assert_allclose(everybody[:, 0], 1.0, rtol=0, atol=1e-6)
    others = nearest_cosines(anchors, anchors, 1, left_out=np.arange(6))
    np.testing.assert_array_equal(others[:, 0], everybody[:, 1])
    none = nearest_cosines(anchors, anchors, 2, left_out=np.full(6, -1))
    np.testing.assert_array_equal(none, everybody)


def test_too_few_anchors_and_other_networks_are_refused():
    vectors = np.eye(3)
    with pytest.raises(DataError, match=r"too few anchors[\s\S]*1 to 3"):
        nearest_cosines(vectors, vectors, 4)
    with pytest.raises(DataError, match=r"too few anchors[\s\S]*1 to 2"):
        nearest_cosines(vectors, vectors, 3, left_out=np.arange(3))
    with pytest.raises(DataError, match="too few"):
        nearest_cosines(vectors, vectors, 0)
    with pytest.raises(DataError, match="different networks"):
        nearest_cosines(vectors, np.eye(4), 1)
    assert nearest_cosines(np.zeros((0, 3)), vectors, 2).shape == (0, 2)


def clustered(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings whose density differs by place, and their log G at s = 1, k = 4."""
    centres = rng.normal(size=(12, 16))
    spread = np.linspace(0.1, 1.5, 12)
    group = rng.integers(12, size=num)
    vectors = centres[group] + spread[group, None] * rng.normal(size=(num, 16))
    anchors = centres[rng.integers(12, size=200)] + rng.normal(size=(200, 16)) * 0.3
    return vectors, log_lid(nearest_cosines(vectors, anchors, 4), 1.0)


SETTINGS = Lid(hidden_dim=32, num_steps=600, batch_size=64, learning_rate=0.01, decay_steps=[400, 500])


def test_the_regressor_beats_guessing_the_mean_on_images_it_has_not_seen():
    vectors, log_lids = clustered(1500, np.random.default_rng(0))
    model = fit_lid(vectors[:1000], log_lids[:1000], 1.0, 4, SETTINGS, seed=0)
    estimate, truth = np.exp(model.log_lid(vectors[1000:])), np.exp(log_lids[1000:])
    # Guessing the mean has a relative squared error of 1; measured here: under 0.2.
    assert np.mean((estimate - truth) ** 2) < 0.4 * truth.var()
    again = fit_lid(vectors[:1000], log_lids[:1000], 1.0, 4, SETTINGS, seed=0)
    np.testing.assert_array_equal(again.log_lid(vectors), model.log_lid(vectors))


def test_estimates_stay_in_the_range_of_g_and_ignore_lengths():
    model = LidRegressor(8, 4, scale=1.0, num_neighbours=10)
    model.mean.fill_(-100.0)
    vectors = RNG.normal(size=(5, 8))
    np.testing.assert_allclose(model.log_lid(vectors), np.log(10) - 1)  # G >= k·exp(-s)
    model.mean.fill_(1000.0)
    np.testing.assert_allclose(model.log_lid(vectors), np.log(10) + 1)
    model.mean.fill_(10.0)
    np.testing.assert_allclose(model.log_lid(vectors), model.log_lid(7 * vectors), rtol=0, atol=1e-6)  # float32
    assert model.log_lid(np.zeros((0, 8))).shape == (0,)
    with pytest.raises(DataError, match="another network"):
        model.log_lid(vectors[:, :7])


def test_equal_targets_and_divergence():
    vectors = RNG.normal(size=(40, 8))
    model = fit_lid(vectors, np.full(40, np.log(5.0)), 1.0, 4, SETTINGS, seed=0)
    np.testing.assert_allclose(np.exp(model.log_lid(vectors)), 5.0, rtol=0.02)  # weight decay is no exact solver
    hot = Lid(hidden_dim=8, num_steps=50, batch_size=16, learning_rate=1e6, decay_steps=[])
    with pytest.raises(DataError, match="diverged"):
        fit_lid(vectors, RNG.uniform(0, 1, 40), 1.0, 4, hot, seed=0)
    with pytest.raises(DataError, match="one finite G"):
        fit_lid(vectors, np.full(40, np.inf), 1.0, 4, SETTINGS, seed=0)
    with pytest.raises(DataError, match="one finite G"):
        fit_lid(vectors, np.zeros(39), 1.0, 4, SETTINGS, seed=0)


def test_regressor_files(tmp_path):
    settings = Lid(hidden_dim=8, num_steps=5, batch_size=16, learning_rate=1e-3, decay_steps=[3])
    model = fit_lid(RNG.normal(size=(40, 8)), RNG.uniform(1, 2, 40), 1.0, 4, settings, seed=0)
    write_lid(tmp_path, model)
    vectors = RNG.normal(size=(5, 8))
    np.testing.assert_array_equal(read_lid(tmp_path, 1.0, 4).log_lid(vectors), model.log_lid(vectors))
    with pytest.raises(CheckpointError, match="another s or k"):
        read_lid(tmp_path, 2.0, 4)
    (tmp_path / "lid.json").write_text(json.dumps({"dim": 9, "hidden_dim": 8, "scale": 1.0, "num_neighbours": 4}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_lid(tmp_path, 1.0, 4)
    with pytest.raises(CheckpointError, match="missing"):
        read_lid(tmp_path / "absent", 1.0, 4)
