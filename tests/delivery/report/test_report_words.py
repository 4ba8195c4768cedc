"""Patches, scores and decisions in words."""

import pytest

from pipeline_lib.core.kinds import kind_names
from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.delivery.report.areas import describe_patch
from pipeline_lib.delivery.report.pair_words import Decided, Decisions
from pipeline_lib.delivery.report.score_words import WORDS, score_words
from pipeline_lib.params.scores import Score


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ((28, 0, 56, 56), "forehead and both eyes"),
        ((28, 28, 56, 56), "both eyes and nose"),
        ((28, 56, 56, 56), "nose, mouth and chin"),
        ((0, 28, 56, 56), "left eye, nose and left cheek"),
        ((56, 28, 56, 56), "right eye, nose and right cheek"),
        ((28, 42, 28, 28), "left eye"),
        ((42, 84, 28, 28), "mouth and chin"),
        ((0, 42, 28, 28), "left edge of the face"),
        ((52, 0, 4, 4), "forehead"),
    ],
)
def test_patches_in_words(patch: tuple[int, int, int, int], words: str) -> None:
    assert describe_patch(*patch) == words


def test_mirrored_patches_have_mirrored_names() -> None:
    for size, layout in ((56, "all9"), (28, "all49")):
        for x, y in layout_positions(size, layout).tolist():
            words, mirrored = describe_patch(x, y, size, size), describe_patch(112 - size - x, y, size, size)
            swapped = words.replace("left", "\0").replace("right", "left").replace("\0", "right")
            assert sorted(swapped.replace(" and ", ", ").split(", ")) == sorted(
                mirrored.replace(" and ", ", ").split(", ")
            )


def entry(kind: str, of: str = "embed") -> Score:
    return Score.model_validate({"kind": kind, "of": of})


def test_columns_in_words() -> None:
    scores = {"cosine": entry("cosine"), "mine": entry("cosine"), "dam": entry("dam", "embed/net"), "odd": entry("odd")}
    columns = ["cosine:net", "mine:net", "dam:r", "odd:x", "cosine", "elsewhere:net"]
    said = ["cosine of net", "cosine of net (mine)", "DAM-R of net", "odd:x", "cosine", "elsewhere:net"]
    assert [score_words(column, scores) for column in columns] == said


def test_every_kind_of_score_has_words() -> None:
    assert set(WORDS) == set(kind_names("matching.scores"))


@pytest.mark.parametrize(
    ("genuine", "score", "verdict", "wrong"),
    [(True, 0.5, "match", False), (True, 0.3, "a miss", True), (False, 0.5, "a false match", True),
     (False, 0.3, "no match", False), (True, 0.4, "a miss", True)],
)  # fmt: skip
def test_a_decision_in_words(genuine: bool, score: float, verdict: str, wrong: bool) -> None:
    pair = {"protocol": "p", "image_a": "a", "image_b": "b", "genuine": genuine, "score": score}
    decided = Decisions(None, {"cosine:net": {"threshold": 0.4}}).of(pair, "net", {"cosine": entry("cosine")})
    assert (decided.verdict, decided.is_wrong) == (verdict, wrong)
    assert f"cosine {score:.3f}, threshold 0.400" in decided.text


def test_a_pair_without_a_threshold_has_no_verdict() -> None:
    pair = {"protocol": "p", "image_a": "a", "image_b": "b", "genuine": True, "score": 0.5}
    assert Decisions(None, {}).of(pair, "net", {}) == Decided("p, of one person: cosine 0.500", "")
