"""Table II in words and figures, the weight map, and the drawn face."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.patches.grid import unique_regions
from pipeline_lib.delivery.report.chapters.regions import widest_fit
from pipeline_lib.delivery.report.region_table import regions_table
from pipeline_lib.delivery.report.region_variants import variants_table
from pipeline_lib.matching.regions import face_outline
from pipeline_lib.matching.regions.bootstrap import Uncertainty
from pipeline_lib.matching.regions.fits import RegionFit, combinations, write_region_fits
from pipeline_lib.matching.regions.weight_map import draw_weight_maps, weight_map
from pipeline_lib.matching.regions.weights import RegionWeights


def fit(positions: list[str], weights: np.ndarray) -> RegionFit:
    errors = np.full(len(weights), 0.25)
    spread = Uncertainty(errors, np.stack([weights - 0.5, weights + 0.5], axis=1), 50, 0)
    return RegionFit(RegionWeights(positions, np.asarray(weights, float), 0.0, 1.0, {1.0: 0.1}), spread)


def row(score: str, kind: str, accuracy: float, protocol: str = "lfw") -> dict[str, str]:
    return {"protocol": protocol, "score": score, "kind": kind, "accuracy_mean": str(accuracy), "accuracy_std": "0.01"}


def test_golden_map_of_a_side_and_of_a_middle_region() -> None:
    side = weight_map({"p28_x0_y14": 2.0})
    # Half of 2 on each of two squares of 784 px.
    assert side[14, 0] == side[41, 27] == side[14, 84] == side[41, 111] == pytest.approx(1 / 784)
    assert side[13, 0] == side[42, 0] == side[14, 28] == side[14, 83] == 0
    middle = weight_map({"p56_x28_y0": -3.0})
    assert middle[0, 28] == middle[55, 83] == pytest.approx(-3 / 3136)
    assert middle[0, 27] == middle[56, 28] == 0
    # (14, 28) and its mirror image (70, 28) do not touch; (28, 28) and (56, 28) meet at 56; 56 px at 0 and 56 too.
    assert weight_map({"p28_x28_y28": 1.0})[28, [28, 55, 56, 83]].tolist() == [1 / 1568] * 4


def test_map_sums_to_the_weights_is_symmetric_and_additive() -> None:
    rng = np.random.default_rng(0)
    names = [region.name for size in (28, 56) for region in unique_regions(size)]
    weights = dict(zip(names, rng.normal(size=len(names)).tolist(), strict=True))
    found = weight_map(weights)
    assert found.sum() == pytest.approx(sum(weights.values()), abs=1e-9)  # 12544 float64 terms
    np.testing.assert_array_equal(found, found[:, ::-1])
    parts = sum(weight_map({name: weight}) for name, weight in weights.items())
    np.testing.assert_allclose(found, parts, rtol=0, atol=1e-15)


def test_map_refusals() -> None:
    with pytest.raises(DataError, match="at least one"):
        weight_map({})
    with pytest.raises(DataError, match="finite"):
        weight_map({"p28_x0_y0": float("nan")})
    with pytest.raises(ParamsError, match="p28_x0_y1"):
        weight_map({"p28_x0_y1": 1.0})


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_picture_has_a_row_a_combination_and_shows_the_signs() -> None:
    positions = ["p28_x0_y0", "p28_x42_y42", "p56_x28_y28"]
    weights = np.array([-1.0, 2.0, 1.0])
    fits = {name: fit(m, weights[[positions.index(p) for p in m]]) for name, m in combinations(positions).items()}
    png = draw_weight_maps(fits)
    assert png == draw_weight_maps(fits)  # equal bytes
    one = pixels(draw_weight_maps({"28_56": fits["28_56"]}))
    assert abs(pixels(png).shape[0] - 3 * one.shape[0]) <= 3  # a pixel of rounding a row
    red, green, blue = one.transpose(2, 0, 1)
    orange, purple = (red > blue + 60).sum(), (blue > green + 40).sum()
    # On the map: 56 x 56 px of weight for a match, two corners of 28 x 28 against it; bars and their rims add to both.
    assert orange > purple > 1000


def test_picture_of_zero_weights_and_of_many() -> None:
    names = [region.name for size in (28, 56) for region in unique_regions(size)]
    draw_weight_maps({"28_56": fit(names, np.zeros(34))})
    assert pixels(draw_weight_maps({"56": fit(names[28:], np.ones(6))})).shape[1] == 1118  # 8.6 in at 130 dpi


def test_face_stands_on_the_template_and_is_symmetric() -> None:
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    face_outline.draw_face(axis, "black")
    centres = {tuple(np.round(patch.center, 3)) for patch in axis.patches}
    assert centres == {tuple(np.round(point, 3)) for point in TEMPLATE[:2].astype(float)}
    lines = [np.array(line.get_data()).T for line in axis.lines]
    ends = np.concatenate([line[[0, -1]] for line in lines])
    for corner in TEMPLATE[3:]:
        # The lips lie on the line between the corners, which differ in y by 0.16 px.
        assert np.abs(ends - corner).sum(axis=1).min() < 0.1
    points = np.concatenate(lines)
    assert points[:, 0].min() > 0
    assert points[:, 0].max() < 112
    assert (points[:, 1].min(), points[:, 1].max()) == pytest.approx((2.0, face_outline.OUTLINE_BOTTOM))
    middle = TEMPLATE[:2, 0].mean()
    mirrored = points * [-1, 1] + [2 * middle, 0]
    nearest = np.abs(points[:, None] - mirrored[None]).sum(axis=2).min(axis=1)
    # Left and right eye, nose and mouth of the template are themselves up to 0.5 px from symmetry.
    assert nearest.max() < 1.0


def test_table_ii_in_words() -> None:
    positions = ["p28_x0_y42", "p28_x28_y42", "p28_x42_y42", "p28_x42_y84", "p56_x0_y28", "p56_x28_y28"]
    accuracies = [0.6, 0.9, 0.8, 0.8, 0.7, 0.95]
    rows = [row(f"regions:{name}", "position", a) for name, a in zip(positions, accuracies, strict=True)]
    rows += [row("regions:28_56", "combination", 0.97), row("cosine:net", "network", 0.98)]
    rows += [{**each, "protocol": "val", "accuracy_mean": "0.5"} for each in rows]
    table = regions_table(rows, {"logistic": fit(positions, np.arange(6) - 1.0)})
    assert table.columns == ("size, px", "(x, y)", "shows", "lfw, %", "val, %", "weight, logistic")
    assert table.rows[1] == ("28", "(28, 42)", "eye", "90.00 ± 1.00", "50.00 ± 1.00", "+0.00 ± 0.25")
    assert table.rows[4][2] == "eye, nose and cheek"  # no side: the mirrored region has the same network and weight
    assert table.rows[6][:4] == ("28 and 56", "–", "combined: regions:28_56", "97.00 ± 1.00")
    assert table.rows[7][:4] == ("112", "–", "whole face: net", "98.00 ± 1.00")
    assert [number for number, begins in enumerate(table.groups) if begins] == [0, 4, 6]
    # The best three of 28 px and the best of 56 px; on val all are equally good, so all are marked.
    assert {cell for cell in table.best if cell[1] == 3} == {(1, 3), (2, 3), (3, 3), (5, 3)}
    assert {cell for cell in table.best if cell[1] == 4} == {(number, 4) for number in range(6)}


def test_a_column_of_weights_a_fit() -> None:
    rows, name = [row("mine:p56_x0_y28", "position", 0.9)], "p56_x0_y28"
    assert regions_table(rows, {}).columns[3:] == ("lfw, %",)
    table = regions_table(rows, {"a": fit([name], np.ones(1)), "b": fit([name], -np.ones(1))})
    assert table.columns[4:] == ("weight, a", "weight, b")
    assert table.rows[0][4:] == ("+1.00 ± 0.25", "-1.00 ± 0.25")


def test_the_weights_shown_are_those_of_the_widest_combination(tmp_path: Path) -> None:
    positions = ["p28_x0_y0", "p56_x28_y28"]
    fits = {name: fit(m, np.arange(len(m)) + 1.0) for name, m in combinations(positions).items()}
    write_region_fits(tmp_path / "weights.json", fits)
    found = widest_fit(tmp_path / "weights.json").weights
    assert dict(zip(found.positions, found.weights, strict=True)) == {"p28_x0_y0": 1.0, "p56_x28_y28": 2.0}


def test_with_as_few_regions_as_are_marked_none_is() -> None:
    rows = [row("regions:p56_x0_y28", "position", 0.9), row("regions:56", "combination", 0.9)]
    assert regions_table(rows, {}).best == frozenset()


def test_table_refusals() -> None:
    rows, fits = [row("regions:p56_x0_y28", "position", 0.9)], {"logistic": fit(["p56_x0_y28"], np.ones(1))}
    with pytest.raises(DataError, match="damaged"):
        regions_table([{**rows[0], "accuracy_mean": "high"}], fits)
    with pytest.raises(DataError, match="damaged"):
        regions_table([{"protocol": "lfw"}], fits)
    with pytest.raises(DataError, match=r"lack a protocol[\s\S]*regions:56"):
        regions_table(
            [*rows, row(rows[0]["score"], "position", 0.5, "val"), row("regions:56", "combination", 0.9)], fits
        )
    with pytest.raises(DataError, match=r"no weight[\s\S]*p56_x28_y0"):
        regions_table([*rows, row("regions:p56_x28_y0", "position", 0.9)], fits)


def test_ways_to_fit_are_a_row_each_and_the_chosen_one_is_marked() -> None:
    figures = {"held_out_auc": 0.5, "held_out_accuracy": 0.25, "num_negative": 3.0}
    metrics = {
        "a": {
            "28_56": {"strength": 1.0},
            "variant_train": {**figures, "chosen": 0.0},
            "variant_val": {**figures, "chosen": 1.0},
        },
        "alone": {"variant_train": {"chosen": 1.0}},
    }
    rows = [{**row("a:28_56/val", "variant", 0.75, protocol), "auc": "0.875"} for protocol in ("val", "lfw")]
    table = variants_table([*rows, row("a:28_56", "combination", 0.5)], metrics)
    assert table is not None
    assert table.rows == (
        ("a", "training people", "any sign", "0.5000", "25.00 %", "3", "–", "–"),
        ("a", "validation people", "any sign", "0.5000", "25.00 %", "3", "0.8750, 75.00 %", "0.8750, 75.00 %"),
    )
    assert table.best == {(1, 2)}
    assert variants_table(rows, {"alone": metrics["alone"]}) is None
    del metrics["a"]["variant_val"]["held_out_auc"]
    with pytest.raises(DataError, match="held_out_auc"):
        variants_table(rows, metrics)
