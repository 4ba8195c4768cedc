"""EMD similarity, by the CPU's kernel and in pools, against exact and float64 solvers; edges; that company does not matter."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd import similarities as emd
from pipeline_lib.matching.emd import sinkhorn
from pipeline_lib.matching.emd.patches import UnitPatches, unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn, transport
from pipeline_lib.matching.emd.weights import WEIGHTS, patch_weights
from tests.oracles.transport import exact_similarity, sinkhorn_plan

SETTINGS = Sinkhorn()
# Features with a common part give the cosines of real maps (0.2 .. 0.95), on which Sinkhorn needs some 100 iterations.
RNG = np.random.default_rng(0)
PLACES = RNG.normal(size=(1, 12, 24)) + 1.0


def features(num: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(num, 12, 24))
    return (PLACES + 0.7 * noise).astype(np.float32)


def faces(num: int, seed: int, num_cells: int = 12) -> UnitPatches:
    """With everything that any weights need."""
    rng = np.random.default_rng(seed + 1000)
    vectors, counts = rng.normal(size=(num, 24)) + 1, rng.integers(0, 4, (num, num_cells))
    shares = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return unit_patches(features(num, seed)[:, :num_cells].copy(), vectors=vectors.astype(np.float32), landmarks=shares)


def all_pairs(num_a: int, num_b: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(num_a), np.arange(num_b), indexing="ij"), axis=-1).reshape(-1, 2)


def problem(seed: int, num: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    a, b = unit_patches(features(num, seed)), unit_patches(features(num, seed + 1))
    cosines = torch.bmm(a.unit, b.unit.transpose(1, 2)).clamp(-1, 1)
    return cosines, *patch_weights("apc", a, b)


def oracle(a: UnitPatches, b: UnitPatches, pair: np.ndarray, kind: str, regularisation: float) -> float:
    """In float64, from the formulas of the paper."""
    u, v = (side.unit[row].numpy().astype(np.float64) for side, row in zip((a, b), pair, strict=True))
    cosines = u @ v.T
    weights = []
    for side, row, other, there, own, sums in (
        (a, pair[0], b, pair[1], u, cosines.sum(axis=1)),
        (b, pair[1], a, pair[0], v, cosines.sum(axis=0)),
    ):
        raw = {
            "uniform": np.ones(len(own)),
            "apc": np.maximum(0, own @ other.mean[there].numpy()),
            "cc": np.maximum(0, own @ other.vector[there].numpy()),
            "sc": np.maximum(0, sums),
            "sc_distance": other.unit.shape[1] - sums,
            "lmk": side.landmarks[row].numpy().astype(np.float64),
        }[kind]
        weights.append(raw / raw.sum())
    return float((sinkhorn_plan(cosines, *weights, regularisation) * cosines).sum())


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
    monkeypatch.setattr(sinkhorn, "MIN_KERNEL_REGULARISATION", 1.0)
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


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("cells", [(12, 12), (12, 3), (7, 12), (2, 5)])
def test_the_kernel_equals_float64_sinkhorn_with_all_weights_and_grids(kind: str, cells: tuple[int, int]) -> None:
    a, b = faces(3, 40, cells[0]), faces(3, 41, cells[1])
    pairs = np.array([[0, 1], [2, 0]])
    found, converged = emd_similarities(a, b, pairs, kind, Sinkhorn(max_iterations=10_000))
    assert converged.all()
    expected = [oracle(a, b, pair, kind, 0.05) for pair in pairs]
    np.testing.assert_allclose(
        found, expected, atol=1e-4
    )  # the tolerance; marginals that are right to it bound the score


@pytest.mark.parametrize(("regularisation", "tolerance"), [(0.05, 1e-5), (0.025, 5e-5), (0.024, 5e-5), (0.01, 1e-4)])
def test_the_kernel_equals_float64_sinkhorn_at_any_regularisation(regularisation: float, tolerance: float) -> None:
    a, b = faces(3, 42), faces(3, 43)
    settings = Sinkhorn(regularisation, tolerance=5e-6, max_iterations=20_000)
    pairs = np.array([[0, 1], [2, 0]])
    found, converged = emd_similarities(a, b, pairs, "apc", settings)
    assert converged.all()
    expected = [oracle(a, b, pair, "apc", regularisation) for pair in pairs]
    np.testing.assert_allclose(found, expected, atol=tolerance)  # what errors of 5e-6 in slow directions leave


def test_over_relaxation_spares_most_iterations_of_slow_problems() -> None:
    a, b = faces(6, 44), faces(6, 45)
    needed = Sinkhorn(max_iterations=250)
    assert emd_similarities(a, b, all_pairs(6, 6), "uniform", needed)[1].all()
    cosines = torch.bmm(a.unit, b.unit.transpose(1, 2)).clamp(-1, 1)
    plain = transport(cosines, *patch_weights("uniform", a, b), needed)
    assert plain.converged.float().mean() < 0.5


def test_company_does_not_change_a_bit_of_a_pair() -> None:
    a, b = faces(9, 10), faces(40, 11)
    pairs = all_pairs(9, 40)
    for kind in WEIGHTS:
        together, converged = emd_similarities(a, b, pairs, kind, SETTINGS)
        assert converged.all()
        order = np.random.default_rng(0).permutation(len(pairs))
        np.testing.assert_array_equal(emd_similarities(a, b, pairs[order], kind, SETTINGS)[0], together[order])
        for index in (0, 137, 359):
            rows_a, rows_b = (torch.from_numpy(rows) for rows in pairs[index : index + 1].T.copy())
            alone, _ = emd_similarities(a.take(rows_a), b.take(rows_b), np.zeros((1, 2), np.int64), kind, SETTINGS)
            assert alone[0] == together[index]


@pytest.mark.parametrize("kind", WEIGHTS)
def test_pools_equal_the_kernel(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emd, "POOL", 64)
    a, b = faces(7, 20), faces(30, 21, 7)
    a.unit[3], a.mean[3], a.vector[3], a.landmarks[3] = -a.unit[3], -a.mean[3], -a.vector[3], 0
    pairs = np.stack([np.arange(150) % 7, np.arange(150) % 30], axis=1)
    settings = Sinkhorn(tolerance=5e-6, max_iterations=5000)
    expected, converged = emd_similarities(a, b, pairs, kind, settings, skip_weightless=True)
    found, error = emd._in_pools(a, b, pairs, kind, settings, "pair {}".format)
    np.testing.assert_allclose(found, expected, atol=1e-5)  # twice the tolerance
    assert np.isnan(expected).any() == (kind in ("apc", "cc", "sc", "lmk"))
    np.testing.assert_array_equal(np.isnan(error), np.isnan(expected))
    assert converged.all()


def test_threads_share_the_pairs_and_change_no_bit() -> None:
    a, b = faces(8, 24), faces(30, 25)
    pairs = all_pairs(8, 30)
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda part: emd_similarities(a, b, part, "apc", SETTINGS)[0], np.split(pairs, 8)))
    np.testing.assert_array_equal(np.concatenate(parts), emd_similarities(a, b, pairs, "apc", SETTINGS)[0])


def test_the_exact_optimum_bounds_the_entropic_one() -> None:
    a, b = faces(3, 26), faces(3, 27, 7)
    pairs = all_pairs(3, 3)
    exact, converged = emd_similarities(a, b, pairs, "apc", SETTINGS, exact=True)
    assert converged.all()
    entropic, _ = emd_similarities(a, b, pairs, "apc", SETTINGS)
    assert (entropic <= exact + 2e-4).all()  # twice the tolerance
    assert (entropic >= exact - 0.05 * np.log(7) - 2e-4).all()
    for pair, value in zip(pairs, exact, strict=True):
        one, other = (side.take(torch.from_numpy(pair[[k]])) for k, side in enumerate((a, b)))
        weights = [w[0].numpy().astype(np.float64) for w in patch_weights("apc", one, other)]
        cosines = (one.unit[0] @ other.unit[0].T).numpy().astype(np.float64)
        assert value == pytest.approx(exact_similarity(cosines, *weights), abs=1e-6)  # HiGHS's feasibility


def test_patches_of_different_numbers_of_values_are_refused() -> None:
    short = unit_patches(features(2, 1)[:, :, :8].copy())
    with pytest.raises(DataError, match="24 and 8 values"):
        emd_similarities(faces(2, 1), short, np.array([[0, 0]]), "uniform", SETTINGS)


def test_a_limit_of_iterations_of_the_kernel_is_reported() -> None:
    a = faces(4, 6)
    for regularisation in (0.05, 0.01):
        settings = Sinkhorn(regularisation, 1e-6, max_iterations=5)
        similarity, converged = emd_similarities(a, a, all_pairs(4, 4), "uniform", settings)
        assert not converged[1:4].any()
        assert np.isfinite(similarity).all()


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
        similarity, converged = emd_similarities(both, both, pairs, kind, SETTINGS, skip_weightless=True)
        assert np.isnan(similarity).tolist() == [False, True]
        assert converged.all()
    assert emd_similarities(both, both, pairs, "uniform", SETTINGS)[0] == pytest.approx([1.0, -1.0], abs=1e-4)


def test_weights_worked_by_hand() -> None:
    # A: e1, e2; B: e1, (e1+e2)/√2. Means before normalisation: A (.5, .5), B of raw (2,0), (1,1) -> (1.5, .5).
    shares = np.array([[0.25, 0.5]], np.float32)
    embedded = np.array([[0.0, 2.0]], np.float32)
    a = unit_patches(np.array([[[3.0, 0.0], [0.0, 1.0]]], np.float32), vectors=embedded, landmarks=shares)
    b = unit_patches(
        np.array([[[2.0, 0.0], [1.0, 1.0]]], np.float32), vectors=embedded, landmarks=shares[:, ::-1].copy()
    )
    h = np.sqrt(0.5)
    expected = {
        "uniform": ([0.5, 0.5], [0.5, 0.5]),
        "apc": ([0.75, 0.25], [3 / (3 + 4 * h), 4 * h / (3 + 4 * h)]),  # A's raw mean is (1.5, .5) too
        "cc": ([0.0, 1.0], [0.0, 1.0]),
        "sc": ([(1 + h) / (1 + 2 * h), h / (1 + 2 * h)], [1 / (1 + 2 * h), 2 * h / (1 + 2 * h)]),
        "sc_distance": ([(1 - h) / (3 - 2 * h), (2 - h) / (3 - 2 * h)], [1 / (3 - 2 * h), (2 - 2 * h) / (3 - 2 * h)]),
        "lmk": ([1 / 3, 2 / 3], [2 / 3, 1 / 3]),
    }
    assert set(expected) == set(WEIGHTS)
    for kind, sides in expected.items():
        for found, wanted in zip(patch_weights(kind, a, b), sides, strict=True):
            np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-6, err_msg=kind)  # float32


def test_weights_say_what_they_lack() -> None:
    plain, longer = unit_patches(features(2, 1)), unit_patches(features(2, 1), vectors=np.ones((2, 30), np.float32))
    pairs = np.array([[0, 1]])
    with pytest.raises(DataError, match=r"'cc'.*\n.*no embeddings"):
        emd_similarities(plain, plain, pairs, "cc", SETTINGS)
    with pytest.raises(DataError, match="embeddings of 30 values"):
        emd_similarities(longer, longer, pairs, "cc", SETTINGS)
    with pytest.raises(DataError, match="'lmk' need landmarks"):
        emd_similarities(plain, plain, pairs, "lmk", SETTINGS)


def test_masses_outside_float32_are_an_error_never_a_nan() -> None:
    # Patch 2 of B takes nearly all, at the highest cost exp(-2/0.025) = 1e-35; with 1e-25 in a row the product is 0.
    cosines = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    a, b = torch.tensor([[1e-25, 1.0]]), torch.tensor([[1e-30, 1.0]])
    with pytest.raises(DataError, match=r"float32.\n.*pair 0"):
        transport(cosines, a, b, Sinkhorn(regularisation=0.025))
    on_logarithms = transport(cosines, a, b, Sinkhorn(regularisation=0.024))
    assert on_logarithms.converged.all()
    assert on_logarithms.similarity.item() == pytest.approx(-1.0, abs=1e-4)  # the tolerance


def test_the_kernel_takes_to_logarithms_where_masses_leave_float32() -> None:
    unit = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [-1.0, 0.0]]], np.float32)
    shares = np.array([[1e-25, 1.0], [1e-30, 1.0]], np.float32)
    both = unit_patches(unit, landmarks=shares)
    similarity, converged = emd_similarities(both, both, np.array([[0, 1]]), "lmk", Sinkhorn(regularisation=0.025))
    assert converged.all()
    assert similarity[0] == pytest.approx(-1.0, abs=1e-4)  # the tolerance


@pytest.mark.parametrize("regularisation", [0.05, 0.01])
def test_the_kernel_sends_nothing_from_patches_of_weight_zero(regularisation: float) -> None:
    a, b = faces(1, 50), faces(1, 51)
    a.landmarks[0, :5], b.landmarks[0, 7:] = 0.0, 0.0
    settings = Sinkhorn(regularisation, 1e-5, 5000)
    found, converged = emd_similarities(a, b, np.array([[0, 0]]), "lmk", settings)
    assert converged.all()
    rows, columns = np.flatnonzero(a.landmarks[0]), np.flatnonzero(b.landmarks[0])
    less = [
        unit_patches(side.unit[:, kept].numpy(), landmarks=side.landmarks[:, kept].numpy())
        for side, kept in ((a, rows), (b, columns))
    ]
    without, _ = emd_similarities(*less, np.array([[0, 0]]), "lmk", settings)
    assert found[0] == pytest.approx(without[0], abs=2e-5)  # twice the tolerance
