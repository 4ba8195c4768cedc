"""Which method explains which model, what a second one says of its map, and what a sum of regions is."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_networks import POSITIONS, tiny_network
from tiny_verifier import SCORERS, write_tiny

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.delivery.verifier import methods
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.methods import AUTO, chosen_method, explained, method_names, reliability
from pipeline_lib.delivery.verifier.reasons import HIDDEN
from pipeline_lib.delivery.verifier.region_sum import region_sum
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.matching.scores.shared.faces import Faces
from pipeline_lib.why.explanation.shared.agreement import MIN_RANK_CORRELATION, rank_correlation
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation

FACES = np.random.default_rng(0).integers(0, 256, size=(2, 112, 112, 3)).astype(np.uint8)


def test_auto_is_a_network_s_own_sum_or_else_gradients() -> None:
    assert chosen_method(AUTO, tiny_network("rrfnet")) == "additive"
    assert chosen_method(AUTO, tiny_network("iresnet")) == "xssab"
    assert chosen_method(AUTO, None) == "regions"
    assert chosen_method("xssab", tiny_network("rrfnet")) == "xssab"
    assert {"additive", "xssab", "occlusion"} <= set(method_names())


@pytest.mark.parametrize(("asked", "sort"), [("additive", "iresnet"), ("random", "rrfnet"), ("eyes", "rrfnet")])
def test_a_method_that_does_not_explain_a_model_is_refused(asked: str, sort: str) -> None:
    with pytest.raises(ParamsError, match=f"(?s){asked}.*allowed.* auto, .*xssab"):
        chosen_method(asked, tiny_network(sort))
    with pytest.raises(ParamsError, match="auto, regions"):
        chosen_method("xssab", None)


@pytest.mark.parametrize("method", ["additive", "xssab", "occlusion"])
def test_reliability_compares_with_another_method(method: str) -> None:
    embedder = Embedder(tiny_network("rrfnet"), True, 32, 0.3)
    pair = embedder.pair(FACES)
    found = explained(method, embedder, pair)
    second = explained("xssab" if method == "occlusion" else "occlusion", embedder, pair)
    words = reliability(method, found, embedder, pair)
    assert f"rank correlation {rank_correlation(found.maps, second.maps):.2f} " in words
    assert ("xSSAB" in words) == (method == "occlusion")


@pytest.mark.parametrize(("above", "begins"), [(0.01, "A second method"), (-0.01, "Take the places with care")])
def test_both_sides_of_the_bound(above: float, begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two maps that agree a little more, and a little less, than the bound asks for."""
    rng, size = np.random.default_rng(0), np.ones((16, 16))
    first, noise = rng.normal(size=(2, 7, 7)), -rng.normal(size=(2, 7, 7))

    def mixed(share: float) -> Explanation:
        return Explanation(np.kron(share * first + (1 - share) * noise, size).astype(np.float32), 0.5)

    own = mixed(1.0)
    agreements = [(rank_correlation(own.maps, mixed(share).maps), share) for share in np.linspace(0.0, 1.0, 201)]
    _, share = min(agreements, key=lambda one: abs(one[0] - MIN_RANK_CORRELATION - above))
    monkeypatch.setattr(methods, "explained", lambda *_: mixed(share))
    words = reliability("xssab", own, None, None)
    assert words.startswith(begins)
    assert "occlusion" in words


def test_a_sum_of_regions_is_spread_over_both_sides_of_the_face() -> None:
    """p56_x0_y28 has a mirror image at x = 56, p56_x28_y28 is its own."""
    found = region_sum(POSITIONS, np.array([0.6, -0.2]))
    assert found.boxes is not None
    assert found.boxes.tolist() == [[0, 28, 56, 56], [56, 28, 56, 56], [28, 28, 56, 56]]
    np.testing.assert_allclose(found.terms, np.diag([0.3, 0.3, -0.2]), atol=1e-15)
    assert found.score == pytest.approx(0.4)
    assert found.additivity_error == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(found.maps[0], found.maps[1])


@pytest.mark.parametrize("score", ["cosine:iresnet", "dam:iresnet"])
def test_a_verifier_explains_by_the_method_that_is_asked_for(score: str, tmp_path: Path) -> None:
    verifier = Verifier.load(write_tiny(tmp_path, score))
    pairs = [example_photographs()]
    answers = {name: verifier.compare(pairs, True, name, name == "auto")[0] for name in ("auto", "occlusion")}
    assert [answer.method for answer in answers.values()] == ["xssab", "occlusion"]
    assert [answer.reliability is not None for answer in answers.values()] == [True, False]
    for answer in answers.values():
        assert answer.maps is not None
        assert answer.maps.shape == (2, 112, 112)
        assert (answer.contributions, answer.terms) == ((), ())
    words = str(answers["occlusion"].explanation)
    if score.startswith("cosine:"):
        assert words == HIDDEN
    else:
        assert "The map shows what the cosine of the embeddings loses" in words
        assert f"the similarity, {score}, is computed" in words
    with pytest.raises(ParamsError, match="auto, xssab"):
        verifier.compare(pairs, True, "additive")


def test_a_pair_without_an_explanation_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = Verifier.load(write_tiny(tmp_path, "cosine:iresnet"))
    a, b = example_photographs()
    kind, calls = methods._kind("xssab"), []

    def fails_once(*arguments: object) -> Explanation:
        calls.append(arguments)
        if len(calls) == 1:
            raise DataError("A gradient of the score is not finite.", got="3 pixels")
        return kind.explain(*arguments)

    module = SimpleNamespace(Settings=kind.Settings, REQUIRES=kind.REQUIRES, explain=fails_once)
    monkeypatch.setattr(methods, "_kind", lambda name: module)
    answers = verifier.compare([(a, b), (a, a)], explain=True)
    assert sorted(answer.png is None for answer in answers) == [False, True]
    (without,) = (answer for answer in answers if answer.png is None)
    assert str(without.explanation).startswith("There is no map for this pair: A gradient of the score is not finite")
    assert without.similarity is not None
    assert (without.method, without.maps) == (None, None)


def test_parts_of_regions_are_the_score() -> None:
    scorer = SCORERS["regions:56"]
    rng = np.random.default_rng(0)
    a, b = (Faces(patches=rng.normal(size=(3, 2, 8)).astype(np.float32)) for _ in range(2))
    parts = scorer.parts(a, b)
    assert parts is not None
    np.testing.assert_allclose(parts.sum(axis=1), scorer.score(a, b), atol=1e-6)
    assert SCORERS["cosine:rrfnet"].parts(a, b) is None
