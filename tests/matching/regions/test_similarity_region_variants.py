"""Several ways to fit: who is scored by what, which way is chosen, and what the files keep."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs
from pipeline_lib.matching.regions.fits import fit_combinations, read_region_fits, write_region_fits
from pipeline_lib.matching.regions.held_out import HeldOut, left_out
from pipeline_lib.matching.regions.logistic import fit_logistic
from pipeline_lib.matching.regions.variants import (
    Variant,
    VariantFit,
    best_variant,
    by_split,
    fit_variant,
    fit_variants,
    read_variants,
    variants_of,
    variants_summary,
    write_variants,
)

POSITIONS = ["p28_x14_y28", "p56_x0_y28"]
STRENGTHS = [0.1, 10.0]


@pytest.fixture(scope="module")
def pairs():
    """160 pairs of twelve training people and as many of twelve others; the first region is a memory of the former."""
    people = [f"{split}{number}" for split in ("train", "val") for number in range(12) for _ in range(4)]
    splits = [name.rstrip("0123456789") for name in people]
    images = [f"image{i}" for i in range(len(people))]
    rng = np.random.default_rng(0)
    table = pa.concat_tables(
        [draw_training_pairs(images, people, splits, 160, 4, rng, own) for own in ("train", "val")]
    )
    genuine = table["genuine"].to_numpy()
    is_train = np.array(table["split"].to_pylist()) == "train"
    cosines = rng.normal(size=(len(genuine), 2)) + np.stack([3 * genuine * is_train, 1.0 * genuine], axis=1)
    return by_split(table, cosines)


def test_pairs_by_split(pairs):
    assert set(pairs) == {"train", "val"}
    for split, found in pairs.items():
        assert found.cosines.shape == (160, 2)
        assert set(found.fold_of) == {f"{split}{number}" for number in range(12)}
        for (a, b), fold, genuine in zip(found.names, found.labels.folds, found.labels.genuine, strict=True):
            assert found.fold_of[a] == found.fold_of[b] == fold
            assert (a == b) == genuine


def test_validation_people_are_scored_by_fits_without_them(pairs):
    found = fit_variant(Variant("val", False), POSITIONS, pairs["val"], STRENGTHS)
    held_out, labels = found.held_out, pairs["val"].labels
    assert set(held_out.weights) == {"0", "1", "2", "3", "0,1", "0,2", "0,3", "1,2", "1,3", "2,3"}
    kept = ~np.isin(labels.folds, [1, 3])
    weights, intercept = fit_logistic(
        pairs["val"].cosines[kept], labels.genuine[kept], found.strength, np.ones(int(kept.sum()))
    )
    np.testing.assert_array_equal(held_out.weights["1,3"], weights)
    first, second = (next(name for name, fold in held_out.fold_of.items() if fold == own) for own in (1, 3))
    cosines = np.array([[0.25, 0.5]] * 4)
    both = [(first, second), (second, "stranger"), ("stranger", "other"), (first, first)]
    scores = held_out.score(cosines, both, found.weights)
    assert scores[0] + found.intercept == pytest.approx(cosines[0] @ weights + intercept)
    assert scores[1] == pytest.approx(cosines[0] @ held_out.weights["3"] + held_out.shifts["3"])
    assert scores[2] == pytest.approx(cosines[0] @ found.weights)
    assert scores[3] == pytest.approx(cosines[0] @ held_out.weights["1"] + held_out.shifts["1"])
    assert left_out([3, 1, 3]) == "1,3"


def test_a_memory_of_training_people_is_not_chosen(pairs):
    ways = variants_of(["train", "val"], [False, True], pairs)
    assert [way.name for way in ways] == ["train", "train_non_negative", "val", "val_non_negative"]
    fits = fit_variants(ways, POSITIONS, pairs, STRENGTHS)
    chosen = best_variant(ways, fits)
    assert chosen.fit_on == "val"
    summary = variants_summary(fits, chosen)
    assert [row["chosen"] for row in summary.values()] == [float(way == chosen) for way in ways]
    assert summary["variant_train"]["held_out_auc"] < summary[f"variant_{chosen.name}"]["held_out_auc"]
    assert all(0 <= row["held_out_accuracy"] <= 1 for row in summary.values())
    assert summary["variant_train_non_negative"]["num_negative"] == 0


def test_a_single_way_needs_no_validation_people_and_several_fall_back(pairs):
    train = {"train": pairs["train"]}
    (way,) = variants_of(["val", "train"], [True, False], train)
    assert (way.fit_on, way.non_negative) == ("train", True)
    fits = fit_variants([way], POSITIONS, train, STRENGTHS)
    assert fits[way.name].figures == {}
    assert best_variant([way], fits) == way


def test_two_folds_cannot_be_left_out_of_two(pairs):
    labels = replace(pairs["val"].labels, folds=pairs["val"].labels.folds // 2)
    with pytest.raises(DataError, match="three folds"):
        fit_variant(Variant("val", True), POSITIONS, replace(pairs["val"], labels=labels), [1.0])


def test_files_keep_all_of_it(pairs, tmp_path):
    way = Variant("val", True)
    fits = fit_combinations(POSITIONS, pairs["val"], [1.0], 3, np.random.default_rng(0), way)
    write_region_fits(tmp_path / "weights.json", fits)
    write_variants(tmp_path / "variants.json", {way.name: VariantFit(fits["28_56"].weights, {})})
    for read in (
        read_region_fits(tmp_path / "weights.json")["28_56"].weights,
        read_variants(tmp_path / "variants.json")[way.name],
    ):
        assert read.non_negative
        assert isinstance(read.held_out, HeldOut)
        assert read.held_out.fold_of == pairs["val"].fold_of
        np.testing.assert_array_equal(read.held_out.weights["0,2"], fits["28_56"].weights.held_out.weights["0,2"])
        assert read.held_out.shifts == fits["28_56"].weights.held_out.shifts
    (tmp_path / "variants.json").write_text('{"train": {"weights": {"p28_x14_y28": "much"}}}')
    with pytest.raises(DataError, match="damaged"):
        read_variants(tmp_path / "variants.json")
