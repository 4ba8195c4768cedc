"""Combinations of regions: which there are, their fits, the file."""

import json

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.data.patches.grid import unique_regions
from pipeline_lib.data.sources.shared.training_pairs import PairLabels
from pipeline_lib.matching.regions.bootstrap import Uncertainty
from pipeline_lib.matching.regions.fits import (
    RegionFit,
    combinations,
    fit_combinations,
    fit_summary,
    read_region_fits,
    reading_order,
    weight_figures,
    widest_combination,
    write_region_fits,
)
from pipeline_lib.matching.regions.variants import SplitPairs
from pipeline_lib.matching.regions.weights import RegionWeights, fit_region_weights

POSITIONS = ["p56_x0_y28", "p28_x14_y28", "p56_x28_y28"]  # mixed, as two groups may come


def planted(num: int, rng: np.random.Generator) -> tuple[np.ndarray, PairLabels]:
    """Cosines of POSITIONS, and pairs of 20 identities in two folds."""
    genuine = np.arange(num) % 2 == 0
    folds = (np.arange(num) // 2) % 2
    a = rng.integers(10, size=num)
    b = np.where(genuine, a, (a + rng.integers(1, 10, size=num)) % 10)
    people = np.stack([a, b], axis=1) + 10 * folds[:, None]
    cosines = rng.normal(size=(num, 3)) * 0.2 + genuine[:, None] * [0.1, 0.0, 0.2]
    return cosines.astype(np.float32), PairLabels(genuine, folds, people)


def of(cosines: np.ndarray, pairs: PairLabels) -> SplitPairs:
    """Them, their people named after their numbers."""
    return SplitPairs(cosines.astype(np.float64), pairs, [(f"id{a}", f"id{b}") for a, b in pairs.people])


def test_combinations_of_the_paper():
    assert combinations(POSITIONS) == {
        "28": ["p28_x14_y28"],
        "56": ["p56_x0_y28", "p56_x28_y28"],
        "28_56": POSITIONS,
    }
    small, large = ([region.name for region in unique_regions(size)] for size in (28, 56))
    assert [(name, len(found)) for name, found in combinations([*small, *large]).items()] == [
        ("28", 28),
        ("56", 6),
        ("28_56", 34),
    ]


def test_one_size_has_one_combination():
    assert combinations(["p28_x0_y0"]) == {"28": ["p28_x0_y0"]}
    assert combinations(["p56_x0_y0", "p56_x28_y0"]) == {"56": ["p56_x0_y0", "p56_x28_y0"]}
    with pytest.raises(DataError, match="at least one"):
        combinations([])
    with pytest.raises(DataError, match="unique"):
        combinations(["p28_x0_y0", "p28_x0_y0"])
    with pytest.raises(ParamsError, match="p30_x0_y0"):
        combinations(["p30_x0_y0"])


def test_the_widest_combination_is_that_of_both_sizes():
    assert widest_combination(["28_56", "28", "56"]) == "28_56"
    assert widest_combination(["regions:28", "a:28_56", "regions:56", "dam:r"]) == "a:28_56"
    assert widest_combination(["raw_pixel", "regions:28"]) == "regions:28"
    assert widest_combination(["raw_pixel", "regions:p28_x0_y0"]) is None


def test_reading_order_is_the_papers():
    names = [
        region.name for region in reading_order(["p56_x28_y0", "p28_x0_y14", "p28_x14_y0", "p28_x0_y0", "p56_x0_y0"])
    ]
    assert names == ["p28_x0_y0", "p28_x14_y0", "p28_x0_y14", "p56_x0_y0", "p56_x28_y0"]


def test_every_combination_is_fitted_to_its_own_columns():
    cosines, pairs = planted(400, np.random.default_rng(0))
    fits = fit_combinations(POSITIONS, of(cosines, pairs), [0.1, 1.0], 6, np.random.default_rng(1))
    assert list(fits) == ["28", "56", "28_56"]
    for name, columns in (("28", [1]), ("56", [0, 2]), ("28_56", [0, 1, 2])):
        members = [POSITIONS[column] for column in columns]
        alone = fit_region_weights(members, cosines[:, columns], pairs.genuine, pairs.folds, [0.1, 1.0])
        np.testing.assert_array_equal(fits[name].weights.weights, alone.weights)
        assert fits[name].weights.positions == members
        assert fits[name].uncertainty.intervals.shape == (len(columns), 2)
        assert fits[name].uncertainty.num_samples == 6
    again = fit_combinations(POSITIONS, of(cosines, pairs), [0.1, 1.0], 6, np.random.default_rng(1))
    np.testing.assert_array_equal(fits["28_56"].uncertainty.intervals, again["28_56"].uncertainty.intervals)


def test_summary_and_flat_figures():
    cosines, pairs = planted(400, np.random.default_rng(0))
    fits = fit_combinations(POSITIONS, of(cosines, pairs), [1.0], 4, np.random.default_rng(1))
    summary = fit_summary(POSITIONS, of(cosines, pairs), fits)
    wide = fits["28_56"].weights
    accepted = cosines.astype(float) @ wide.weights + wide.intercept > 0
    assert summary["28_56"] == {
        "num_pairs": 400, "num_identities": 20, "num_redrawn": 0, "strength": 1.0,
        "held_out_log_loss": wide.log_losses[1.0], "fitted_accuracy": np.mean(accepted == pairs.genuine),
    }  # fmt: skip
    assert set(summary) == set(fits)
    figures = weight_figures(fits)
    assert len(figures) == 2 * (1 + 2 + 3)
    assert figures["28_56/weight.p56_x28_y28"] == wide.weights[2]
    assert figures["56/standard_error.p56_x0_y28"] == fits["56"].uncertainty.standard_errors[0]


def test_errors_name_the_combination():
    cosines, pairs = planted(400, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"\(400, 3\)[\s\S]*\(N, 2\)"):
        fit_combinations(POSITIONS[:2], of(cosines, pairs), [1.0], 4, np.random.default_rng(1))
    broken = cosines.copy()
    broken[7, 2] = np.nan
    with pytest.raises(DataError, match=r"NaN[\s\S]*pairs \[7\][\s\S]*combination 56"):
        fit_combinations(POSITIONS, of(broken, pairs), [1.0], 4, np.random.default_rng(1))


def fit(members: list[str], first: float) -> RegionFit:
    values = first + np.arange(len(members))
    weights = RegionWeights(members, values, 9.0, 0.1, {0.1: 0.2, 1.0: 0.3})
    return RegionFit(weights, Uncertainty(values / 10, np.stack([values - 1, values + 1], axis=1), 7, 1))


def test_file_round_trip_by_name(tmp_path):
    path = tmp_path / "weights.json"
    write_region_fits(path, {name: fit(members, 1.0) for name, members in combinations(POSITIONS).items()})
    assert set(json.loads(path.read_text())["56"]["weights"]) == {"p56_x0_y28", "p56_x28_y28"}
    read = read_region_fits(path)
    assert list(read) == ["28", "56", "28_56"]
    wide = read["28_56"]
    assert wide.weights.positions == ["p28_x14_y28", "p56_x0_y28", "p56_x28_y28"]  # by size, row, column
    assert wide.weights.weights.tolist() == [2.0, 1.0, 3.0]
    assert (wide.weights.intercept, wide.weights.strength, wide.weights.log_losses) == (9.0, 0.1, {0.1: 0.2, 1.0: 0.3})
    assert wide.uncertainty.standard_errors.tolist() == [0.2, 0.1, 0.3]
    assert wide.uncertainty.intervals.tolist() == [[1.0, 3.0], [0.0, 2.0], [2.0, 4.0]]
    assert (wide.uncertainty.num_samples, wide.uncertainty.num_redrawn) == (7, 1)


def test_missing_combinations_are_named(tmp_path):
    path = tmp_path / "weights.json"
    fits = {name: fit(members, 1.0) for name, members in combinations(POSITIONS).items()}
    write_region_fits(path, {name: fits[name] for name in ("56", "28_56")})
    with pytest.raises(DataError, match=r"other combinations[\s\S]*'28'"):
        read_region_fits(path)
    path.write_text("{}")
    with pytest.raises(DataError, match="other combinations"):
        read_region_fits(path)
    with pytest.raises(DataError, match="missing"):
        read_region_fits(tmp_path / "absent.json")


@pytest.mark.parametrize("key", ["weights", "standard_errors", "intervals", "intercept", "strength", "log_losses"])
@pytest.mark.parametrize("value", [None, 3, [1], {"p56_x0_y28": "x"}])
def test_a_damaged_file_is_said_so(tmp_path, key, value):
    path = tmp_path / "weights.json"
    positions = ["p56_x0_y28"]
    write_region_fits(path, {"56": fit(positions, 1.0)})
    raw = json.loads(path.read_text())
    raw["56"][key] = value
    path.write_text(json.dumps(raw))
    if key in ("intercept", "strength") and value == 3:
        assert read_region_fits(path)  # the one value that is right there
        return
    with pytest.raises(DataError, match="damaged"):
        read_region_fits(path)
    path.write_text("[]")
    with pytest.raises(DataError, match="damaged"):
        read_region_fits(path)


def test_a_weight_that_is_not_finite_is_damage(tmp_path):
    path = tmp_path / "weights.json"
    write_region_fits(path, {"56": fit(["p56_x0_y28"], 1.0)})
    path.write_text(path.read_text().replace('"p56_x0_y28": 1.0', '"p56_x0_y28": NaN'))
    with pytest.raises(DataError, match="damaged"):
        read_region_fits(path)
