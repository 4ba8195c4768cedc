"""Scores worked by hand, and intervals against repeated answers and published examples."""

from pathlib import Path

import numpy as np
import pytest
from study_key import KEY, sheet

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.study import intervals
from pipeline_lib.why.study.answers import read_answers
from pipeline_lib.why.study.intervals import Answered, CrossedBootstrap, newcombe, wilson
from pipeline_lib.why.study.scoring import score_answers
from pipeline_lib.why.study.words import as_text


def scored(folder: Path, *texts: str) -> dict:
    paths = [folder / f"{number}.csv" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return score_answers(read_answers(paths, KEY), KEY)


def test_golden_by_hand(tmp_path: Path) -> None:
    """Truth y n y n. p (form 1: none, own) says y y | y -; q (form 2: own, none) says y n | n n; r (form 1) says n n | y y.

    none: p 1 of 2, q 1 of 2, r 1 of 2.    own: p 1 of 1, q 2 of 2, r 1 of 2.
    """
    found = scored(tmp_path, sheet("p", "sabc-1", "yyy-"), sheet("q", "sabc-2", "ynnn"), sheet("r", "sabc-1", "nnyy"))
    assert (found["num_participants"], found["chance"]) == (3, 6 / 11)
    none, own = found["methods"]["none"], found["methods"]["own"]
    assert (none["num_answers"], none["num_unanswered"], none["accuracy"]) == (6, 0, 3 / 6)
    assert (own["num_answers"], own["num_unanswered"], own["accuracy"]) == (5, 1, 4 / 5)
    assert own["participants_mean"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert own["participants_std"] == pytest.approx(np.sqrt((2 * (1 / 6) ** 2 + (1 / 3) ** 2) / 3))
    assert own["genuine"] == {"accepted": 3, "rejected": 0}  # p3 q1 r3
    assert own["impostor"] == {"accepted": 1, "rejected": 1}  # r4 q2
    assert none["genuine"] == {"accepted": 1, "rejected": 2}  # p1 | q3 r1
    assert none["impostor"] == {"accepted": 1, "rejected": 2}  # p2 | q4 r2
    # own: masked are p3 q2 r3, all right; bare q1 (right) and r4 (wrong). The network is wrong of pair 2 alone: q2, right.
    assert own["by_occlusion"] == {
        "none": {"num": 2, "accuracy": 0.5},
        "mask": {"num": 3, "accuracy": 1.0},
        "sunglasses": {"num": 0, "accuracy": None},
    }
    assert own["by_model"] == {"right": {"num": 4, "accuracy": 3 / 4}, "wrong": {"num": 1, "accuracy": 1.0}}
    # The network says y y y n: p3 agrees, q1 agrees, q2 not, r3 agrees, r4 not.
    assert own["agrees_with_network"] == 3 / 5
    assert none["agrees_with_network"] is None
    assert own["confidence_right"] is None
    (difference,) = found["differences"]
    assert (difference["first"], difference["second"]) == ("own", "none")
    assert difference["difference"] == pytest.approx(0.3)
    low, high = difference["interval"]
    assert low <= 0.3 <= high
    assert "5000 resamples" in found["intervals"]
    text = as_text(found)
    assert "own less none: +30.0 points" in text
    assert "5 (+ 1 left out)" in text


def test_a_single_participant_has_wilsons_interval(tmp_path: Path) -> None:
    found = scored(tmp_path, sheet("p", "sabc-1", "yyyn"))
    assert found["methods"]["none"]["interval"] == wilson(1, 2)
    assert found["methods"]["own"]["interval"] == wilson(2, 2)
    assert found["differences"][0]["interval"] == newcombe((2, 2), (1, 2))
    assert "Wilson" in found["intervals"]


def test_a_method_without_a_decision_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no pair was decided.*own"):
        scored(tmp_path, sheet("p", "sabc-1", "yy--"))


def test_confidence_by_whether_the_answer_is_right(tmp_path: Path) -> None:
    lines = ["participant,form,pair,answer,confidence"]
    lines += [f"p,sabc-1,{pair},yes,{sure}" for pair, sure in enumerate(["5", "1", "4", ""], 1)]
    found = scored(tmp_path, "\n".join(lines))["methods"]
    assert (found["none"]["confidence_right"], found["none"]["confidence_wrong"]) == (5.0, 1.0)
    assert (found["own"]["confidence_right"], found["own"]["confidence_wrong"]) == (4.0, None)


def test_intervals_of_published_examples() -> None:
    """Newcombe 1998 (Statistics in Medicine 17): Table II, 81 of 263, score method; page 875, 56/70 against 48/80, method 10."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert newcombe((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0


@pytest.fixture
def tables() -> dict[str, Answered]:
    """Five participants and six pairs; who has which method where is drawn, as are gaps and right answers."""
    rng = np.random.default_rng(1)
    method, right = rng.integers(3, size=(5, 6)), rng.random((5, 6)) < 0.7
    return {name: Answered(method == number, (method == number) & right) for number, name in enumerate(["a", "b"])}


def test_crossed_bootstrap_against_repeated_answers(
    tables: dict[str, Answered], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every drawn copy of a participant answers every drawn copy of a pair."""
    drawn: list[np.ndarray] = []
    times = intervals._times
    monkeypatch.setattr(intervals, "_times", lambda *given: drawn.append(times(*given)) or drawn[-1])
    found = CrossedBootstrap(tables, 40, np.random.default_rng(0)).accuracies
    expected: dict[str, list[float]] = {"a": [], "b": []}
    for block in range(0, len(drawn), 2):
        for people, pairs in zip(drawn[block], drawn[block + 1], strict=True):
            answers: dict[str, list[bool]] = {"a": [], "b": []}
            for person in np.repeat(np.arange(5), people.astype(int)):
                for pair in np.repeat(np.arange(6), pairs.astype(int)):
                    for name, table in tables.items():
                        if table.given[person, pair]:
                            answers[name].append(bool(table.right[person, pair]))
            if all(answers.values()):
                for name, right in answers.items():
                    expected[name].append(sum(right) / len(right))
    for name in tables:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)
    assert len(found["a"]) == 40


def test_differences_keep_what_participants_have_in_common() -> None:
    """Two methods right for the same half of the participants: each is unsure, their difference is sure."""
    able = np.repeat([[True], [False]], 10, axis=0)
    given = np.tile([True, False], (20, 20))
    tables = {"a": Answered(given, given & able), "b": Answered(~given, ~given & able)}
    bootstrap = CrossedBootstrap(tables, 500, np.random.default_rng(0))
    low, high = bootstrap.accuracy("a")
    assert high - low > 0.3
    assert bootstrap.difference("a", "b") == (0.0, 0.0)
    again = CrossedBootstrap(tables, 500, np.random.default_rng(0))
    assert again.accuracy("a") == (low, high)


def test_coverage_of_the_crossed_bootstrap() -> None:
    """Of studies with known accuracy 0.7 and participants and pairs that differ, most intervals hold it."""
    rng, held = np.random.default_rng(5), 0
    for _ in range(60):
        effect = rng.normal(0, 0.1, (20, 1)) + rng.normal(0, 0.1, (1, 30))
        right = rng.random((20, 30)) < np.clip(0.7 + effect, 0, 1)
        bootstrap = CrossedBootstrap({"a": Answered(np.ones((20, 30), bool), right)}, 300, rng)
        low, high = bootstrap.accuracy("a")
        held += low <= 0.7 <= high
    assert held >= 52  # 95 % of 60 are 57; fewer than 52 come three times in a thousand
