"""Batched Sinkhorn against exact and float64 solvers, its edges, and that company does not matter."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd import sinkhorn as emd
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn, emd_similarities, transport, unit_patches
from pipeline_lib.matching.emd.weights import WEIGHTS, PatchPairs, patch_weights, pool_grid
from tests.oracles.transport import exact_similarity, sinkhorn_plan

SETTINGS = Sinkhorn()
# Features with a common part give the cosines of real maps (0.2 .. 0.95), on which Sinkhorn needs some 100 iterations.
RNG = np.random.default_rng(0)
PLACES = RNG.normal(size=(1, 12, 24)) + 1.0


def features(num: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(num, 12, 24))
    return (PLACES + 0.7 * noise).astype(np.float32)


def problem(seed: int, num: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    a, b = unit_patches(features(num, seed)), unit_patches(features(num, seed + 1))
    cosines = torch.bmm(a.unit, b.unit.transpose(1, 2)).clamp(-1, 1)
    return cosines, *patch_weights("apc", PatchPairs(a.unit, b.unit, a.mean, b.mean, cosines))


def doubles(*tensors: torch.Tensor) -> list[np.ndarray]:
    return [tensor.numpy().astype(np.float64) for tensor in tensors]


def test_transport_solves_a_two_by_two_problem_worked_by_hand() -> None:
    # Equal weights and cosines [[1, 0], [0, 1]]: T = [[p, q], [q, p]] with p + q = 1/2 and p/q = exp(1/ε).
    solved = transport(
        torch.eye(2)[None], torch.full((1, 2), 0.5), torch.full((1, 2), 0.5), Sinkhorn(regularisation=0.5)
    )
    q = 0.5 / (1 + np.exp(2.0))
    expected = np.array([[0.5 - q, q], [q, 0.5 - q]])
    np.testing.assert_allclose(solved.plan[0].numpy(), expected, atol=1e-6)  # float32 of values below 1
    assert solved.similarity.item() == pytest.approx(1 - 2 * q, abs=1e-6)
    assert solved.converged.all()


@pytest.mark.parametrize(
    ("regularisation", "tolerance"),
    [
        (0.05, 5e-6),  # marginals to 2e-6, and float32 logarithms up to 2/ε = 40 are right to 4e-6 of an entry
        (0.03, 5e-6),
        (
            0.01,
            1e-4,
        ),  # the slowest mode here shrinks so little a step that right marginals leave the plan 20 times less so
    ],
)
def test_transport_equals_float64_sinkhorn(regularisation: float, tolerance: float) -> None:
    cosines, a, b = problem(seed=1, num=2)
    solved = transport(cosines, a, b, Sinkhorn(regularisation, tolerance=2e-6, max_iterations=5000))
    for index, (c, w_a, w_b) in enumerate(zip(*doubles(cosines, a, b), strict=True)):
        expected = sinkhorn_plan(c, w_a, w_b, regularisation)
        np.testing.assert_allclose(solved.plan[index].numpy(), expected, atol=tolerance)
        assert solved.similarity[index].item() == pytest.approx((expected * c).sum(), abs=tolerance)


def test_default_tolerance_bounds_the_error_of_the_similarity() -> None:
    cosines, a, b = problem(seed=2)
    solved = transport(cosines, a, b, SETTINGS)
    assert solved.converged.all()
    assert (solved.marginal_error <= SETTINGS.tolerance).all()
    for index, (c, w_a, w_b) in enumerate(zip(*doubles(cosines, a, b), strict=True)):
        # Marginals 1e-4 off in L1 move at most twice that mass, and |cos| <= 1.
        exact = (sinkhorn_plan(c, w_a, w_b, SETTINGS.regularisation) * c).sum()
        assert solved.similarity[index].item() == pytest.approx(exact, abs=2 * SETTINGS.tolerance)


def test_entropic_similarity_is_below_the_exact_one_by_at_most_the_entropic_gap() -> None:
    cosines, a, b = problem(seed=3)
    solved = transport(cosines, a, b, SETTINGS)
    # KL of a coupling against a x b is at most log(min(N, M)), so the cost exceeds the optimum by at most ε log N.
    gap = SETTINGS.regularisation * np.log(12)
    for index, (c, w_a, w_b) in enumerate(zip(*doubles(cosines, a, b), strict=True)):
        exact = exact_similarity(c, w_a, w_b)
        assert exact - gap - 2e-4 <= solved.similarity[index].item() <= exact + 2e-4


def test_the_two_scalings_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    cosines, a, b = problem(seed=4)
    settings = Sinkhorn(0.05, tolerance=2e-6, max_iterations=3000)
    by_kernel = transport(cosines, a, b, settings)
    monkeypatch.setattr(emd, "MIN_KERNEL_REGULARISATION", 1.0)
    by_logarithms = transport(cosines, a, b, settings)
    # Both are within 2e-6 of the marginals; float32 adds as much.
    torch.testing.assert_close(by_kernel.similarity, by_logarithms.similarity, atol=5e-6, rtol=0)


@pytest.mark.parametrize("regularisation", [0.05, 0.01])
def test_patches_of_weight_zero_receive_no_flow(regularisation: float) -> None:
    cosines, a, b = problem(seed=5, num=1)
    a[0, :5], b[0, 7:] = 0.0, 0.0
    a, b = a / a.sum(), b / b.sum()
    solved = transport(cosines, a, b, Sinkhorn(regularisation, 1e-5, 5000))
    assert solved.converged.all()
    assert (solved.plan[0, :5] == 0).all()
    assert (solved.plan[0, :, 7:] == 0).all()
    expected = (sinkhorn_plan(*doubles(cosines[0], a[0], b[0]), regularisation) * cosines[0].numpy()).sum()
    assert solved.similarity.item() == pytest.approx(expected, abs=2e-5)  # twice the tolerance


def test_a_limit_of_iterations_is_reported_not_hidden() -> None:
    cosines, a, b = problem(seed=6)
    solved = transport(cosines, a, b, Sinkhorn(tolerance=1e-6, max_iterations=10))
    assert not solved.converged.any()
    assert (solved.marginal_error > 1e-6).all()
    assert solved.similarity.isfinite().all()


def test_company_does_not_change_a_pair() -> None:
    a, b = unit_patches(features(9, 10)), unit_patches(features(40, 11))
    pairs = np.stack(np.meshgrid(np.arange(9), np.arange(40), indexing="ij"), axis=-1).reshape(-1, 2)
    together, converged = emd_similarities(a, b, pairs, "apc", SETTINGS)
    assert converged.all()
    for order in (pairs[::-1].copy(), np.random.default_rng(0).permutation(pairs)):
        found, _ = emd_similarities(a, b, order, "apc", SETTINGS)
        expected = {tuple(pair): value for pair, value in zip(pairs.tolist(), together, strict=True)}
        np.testing.assert_allclose(found, [expected[tuple(pair)] for pair in order.tolist()], rtol=0, atol=1e-6)
    for index in (0, 137, 359):  # 1e-6 is the contract; equal shapes make it 0 in practice
        alone, _ = emd_similarities(a, b, pairs[index : index + 1], "apc", SETTINGS)
        assert alone[0] == pytest.approx(together[index], abs=1e-6)


def test_pooled_solver_equals_the_plain_one() -> None:
    a, b = unit_patches(features(7, 20)), unit_patches(features(30, 21))
    pairs = np.stack([np.arange(150) % 7, np.arange(150) % 30], axis=1)
    found, _ = emd_similarities(a, b, pairs, "sc", SETTINGS)
    for index in (0, 64, 149):
        u, v = a.unit[pairs[index, 0]][None], b.unit[pairs[index, 1]][None]
        cosines = torch.bmm(u, v.transpose(1, 2)).clamp(-1, 1)
        plain = transport(cosines, *patch_weights("sc", PatchPairs(u, v, u[:, 0], v[:, 0], cosines)), SETTINGS)
        assert found[index] == pytest.approx(plain.similarity.item(), abs=1e-6)  # the same float32 steps


def test_identical_images_score_highest_and_the_score_is_symmetric() -> None:
    a = unit_patches(features(4, 30))
    pairs = np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), axis=-1).reshape(-1, 2)
    scores = emd_similarities(a, a, pairs, "uniform", Sinkhorn(tolerance=1e-5))[0].reshape(4, 4)
    np.testing.assert_allclose(scores, scores.T, atol=4e-5)  # either order stops within 2 x tolerance of the optimum
    assert (scores.argmax(axis=1) == np.arange(4)).all()


def test_no_pairs_give_no_scores() -> None:
    a = unit_patches(features(2, 1))
    scores, converged = emd_similarities(a, a, np.zeros((0, 2), np.int64), "apc", SETTINGS)
    assert scores.shape == converged.shape == (0,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_feature_is_an_error_that_names_its_image(value: float) -> None:
    broken = features(3, 1)
    broken[2, 4, 1] = value
    with pytest.raises(DataError, match="picture 2"):
        unit_patches(broken, "picture {}".format)


def test_a_patch_without_direction_is_an_error() -> None:
    broken = features(3, 1)
    broken[1, 4] = 0.0
    with pytest.raises(DataError, match="image 1"):
        unit_patches(broken)


def test_nan_cosines_and_wrong_weights_name_the_pair() -> None:
    cosines, a, b = problem(seed=7, num=3)
    for damage in ("cosine", "negative", "sum"):
        bad_cosines, bad_a = cosines.clone(), a.clone()
        if damage == "cosine":
            bad_cosines[1, 2, 3] = torch.nan
        else:
            bad_a[1, 0] += -1.0 if damage == "negative" else 0.1
        with pytest.raises(DataError, match="pair 1"):
            transport(bad_cosines, bad_a, b, SETTINGS)


def test_all_zero_weights_are_an_error_that_names_the_pair() -> None:
    base = np.zeros((2, 3, 4), np.float32)
    base[0, :, 0], base[1, :, 0] = 1.0, -1.0  # every patch of the one image is the opposite of every patch of the other
    both = unit_patches(base)
    pairs = np.array([[0, 0], [0, 1]])
    for kind in ("apc", "sc"):
        with pytest.raises(DataError, match="query 1"):
            emd_similarities(both, both, pairs, kind, SETTINGS, "query {}".format)
    assert emd_similarities(both, both, pairs, "uniform", SETTINGS)[0] == pytest.approx([1.0, -1.0], abs=1e-4)


def test_weights_worked_by_hand() -> None:
    # A: e1, e2; B: e1, (e1+e2)/√2. Means before normalisation: A (.5, .5), B of raw (2,0), (1,1) -> (1.5, .5).
    a = unit_patches(np.array([[[3.0, 0.0], [0.0, 1.0]]], np.float32))
    b = unit_patches(np.array([[[2.0, 0.0], [1.0, 1.0]]], np.float32))
    cosines = torch.bmm(a.unit, b.unit.transpose(1, 2))
    pairs = PatchPairs(a.unit, b.unit, a.mean, b.mean, cosines)
    h = np.sqrt(0.5)
    expected = {
        "uniform": ([0.5, 0.5], [0.5, 0.5]),
        "apc": ([0.75, 0.25], [3 / (3 + 4 * h), 4 * h / (3 + 4 * h)]),  # A's raw mean is (1.5, .5) too
        "sc": ([(1 + h) / (1 + 2 * h), h / (1 + 2 * h)], [1 / (1 + 2 * h), 2 * h / (1 + 2 * h)]),
        "sc_distance": ([(1 - h) / (3 - 2 * h), (2 - h) / (3 - 2 * h)], [1 / (3 - 2 * h), (2 - 2 * h) / (3 - 2 * h)]),
    }
    assert set(expected) == set(WEIGHTS)
    for kind, sides in expected.items():
        for found, wanted in zip(patch_weights(kind, pairs), sides, strict=True):
            np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-6, err_msg=kind)  # float32


def test_pooling_averages_neighbours_and_keeps_the_odd_edge() -> None:
    grid = np.array([[16 * x, 16 * y, 16, 16] for y in range(7) for x in range(7)])
    patches = np.arange(49, dtype=np.float32).reshape(1, 49, 1)
    pooled = pool_grid(patches, grid)[0, :, 0].reshape(4, 4)
    assert pooled[0, 0] == np.mean([0, 1, 7, 8])
    assert pooled[0, 3] == np.mean([6, 13])
    assert pooled[3, 0] == np.mean([42, 43])
    assert pooled[3, 3] == 48


def test_pooling_refuses_an_incomplete_grid() -> None:
    cross = np.array([[0, 28, 56, 56], [28, 0, 56, 56], [56, 28, 56, 56], [28, 56, 56, 56], [28, 28, 56, 56]])
    with pytest.raises(DataError, match="full patch grid"):
        pool_grid(np.zeros((1, 5, 3), np.float32), cross)


def test_masses_outside_float32_are_an_error_never_a_nan() -> None:
    # Patch 2 of B takes nearly all, at the highest cost exp(-2/0.025) = 1e-35; with 1e-25 in a row the product is 0.
    cosines = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    a, b = torch.tensor([[1e-25, 1.0]]), torch.tensor([[1e-30, 1.0]])
    with pytest.raises(DataError, match=r"float32.\n.*pair 0"):
        transport(cosines, a, b, Sinkhorn(regularisation=0.025))
    on_logarithms = transport(cosines, a, b, Sinkhorn(regularisation=0.024))
    assert on_logarithms.converged.all()
    assert on_logarithms.similarity.item() == pytest.approx(-1.0, abs=1e-4)  # the tolerance
