"""Insertion and deletion of maps, whoever made them: determinism, what it depends on, summaries by hand."""

import csv

import numpy as np
import pytest

from pipeline_lib.core.tables import read_table
from pipeline_lib.params.explain import Explain
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair
from pipeline_lib.why.faithfulness import areas
from pipeline_lib.why.faithfulness.areas import Areas, measure_pair
from pipeline_lib.why.faithfulness.insertion_deletion import Curves

PARAMS = Explain(num_pairs=1, num_pictures=0, num_steps=2, insertion_blur_sigma_px=5.0, seed=1)


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    return np.random.default_rng(5).random((2, 112, 112)).astype(np.float32)


def measured(embedder, faces, maps, seed: int = 2) -> Curves:
    return measure_pair(embedder, embedder.pair(faces), maps, PARAMS, np.random.default_rng(seed))


def test_maps_are_measured_the_same_twice_and_end_at_the_pair_s_score(embedder, faces, maps):
    first, again = measured(embedder, faces, maps), measured(embedder, faces, maps)
    np.testing.assert_array_equal(first.insertion, again.insertion)
    np.testing.assert_array_equal(first.deletion, again.deletion)
    # At the ends nothing depends on the map: the untouched pair's score, mirrored features included, in float32.
    score = embedder.pair(faces).score
    assert first.deletion[0] == pytest.approx(score, abs=1e-6)
    assert first.insertion[-1] == pytest.approx(score, abs=1e-6)


def test_a_pair_s_curves_are_those_of_its_two_images(embedder, faces, maps):
    """Images, maps and tie order exchanged give the same: the score is symmetric."""
    found = measured(embedder, faces, maps)
    exchanged = measured(embedder, faces[::-1].copy(), maps[::-1])
    np.testing.assert_allclose(exchanged.deletion, found.deletion, atol=1e-6)  # float32, no ties
    np.testing.assert_allclose(exchanged.insertion, found.insertion, atol=1e-6)


def test_another_map_is_measured_otherwise_and_ties_go_by_the_generator(embedder, faces, maps):
    assert not np.array_equal(measured(embedder, faces, maps).deletion, measured(embedder, faces, -maps).deletion)
    flat = np.zeros_like(maps)
    first, other = measured(embedder, faces, flat, seed=2), measured(embedder, faces, flat, seed=3)
    assert not np.array_equal(first.deletion, other.deletion)
    without_ties = [measured(embedder, faces, maps, seed=seed).deletion for seed in (2, 3)]
    np.testing.assert_array_equal(*without_ties)


def test_summaries_worked_by_hand(embedder, faces, maps, monkeypatch, tmp_path):
    curves = iter([Curves(*(np.full(3, value) for value in (own, 1 - own, own / 2, 0.9))) for own in (0.6, 0.8, 0.1)])
    monkeypatch.setattr(areas, "measure_pair", lambda *args: next(curves))
    measure, found = Areas("mine", embedder, PARAMS), Explanation(maps, 0.5)
    for number, (protocol, a, b, genuine, is_measured) in enumerate(
        [
            ("lfw", "a", "b", True, True), ("lfw", "c", "d", True, True), ("lfw", "e", "f", False, True),
            ("lfw", "g", "h", True, False), ("cfp", "i", "j", True, True),
        ]
    ):  # fmt: skip
        who = (f"on {a}", f"on {a}") if genuine else (f"on {a}", f"on {b}")
        pair = SampledPair(protocol, a, b, *who, genuine, number, is_measured, True, 0)
        measure.add(pair, embedder.pair(faces), found)
    figures = measure.write(tmp_path)
    expected = {"insertion": 0.7, "deletion": 0.3, "insertion_grey": 0.35, "deletion_blur": 0.9}
    assert {name: figures[f"lfw/{name}_mean"] for name in expected} == pytest.approx(expected)
    # Both people drawn, or either twice: the interval's ends are the two pairs.
    assert [figures[f"lfw/insertion_{end}"] for end in ("low", "high")] == pytest.approx([0.6, 0.8])
    assert figures["cfp/insertion_mean"] == pytest.approx(0.1)
    assert "cfp/insertion_low" not in figures  # of one person
    assert figures["num_pairs"] == 3
    assert not any("same_position" in key for key in figures)  # the map has no terms
    table = read_table(tmp_path / "faithfulness.parquet", FAITHFULNESS)
    assert table["image_b"].to_pylist() == ["b", "d", "j"]
    assert table["identity"].to_pylist() == ["on a", "on c", "on i"]
    assert table["method"].to_pylist() == ["mine"] * 3
    assert table["insertion_auc"].to_pylist() == pytest.approx([0.6, 0.8, 0.1])
    assert table["deletion_auc"].to_pylist() == pytest.approx([0.4, 0.2, 0.9])
    assert table["same_position_share"].null_count == 3
    with (tmp_path / "curves.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * 4 * 3
    assert [rows[1][key] for key in ("method", "protocol", "metric", "share")] == ["mine", "lfw", "insertion", "0.5"]
    assert [float(rows[1][end]) for end in ("low", "high")] == pytest.approx([0.6, 0.8])
    assert np.isnan(float(rows[-1]["low"]))  # cfp's pairs are of one person
    assert float(rows[1]["mean_score"]) == pytest.approx(0.7)
    assert float(rows[4]["mean_score"]) == pytest.approx(0.3)


def test_terms_of_an_additive_network_say_where_the_partners_are(
    embedder, faces, maps, monkeypatch, tmp_path, network_named
):
    monkeypatch.setattr(areas, "measure_pair", lambda *args: Curves(*np.full((4, 3), 0.5)))
    terms = np.array([[0.0, 1.0], [0.0, 2.0]])  # A's patches find B's second, B's find A's first and second
    found = Explanation(maps, 0.5, terms, np.array([[0, 0, 56, 56], [56, 56, 56, 56]]))
    others = Embedder(network_named("iresnet"), False, 3)
    for looked_at, expected in ((embedder, 0.75), (others, None)):
        measure = Areas("mine", looked_at, PARAMS)
        measure.add(SampledPair("lfw", "a", "b", "p", "p", True, 0, True, True, 0), embedder.pair(faces), found)
        assert measure.write(tmp_path).get("lfw/same_position_mean") == expected
        assert read_table(tmp_path / "faithfulness.parquet", FAITHFULNESS)["same_position_share"].to_pylist() == [
            expected
        ]
