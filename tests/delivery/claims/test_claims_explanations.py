"""The claims on explanations (R6 to R8, S4) on made tables in which each holds, fails, cannot be told, and is not measured."""

import pytest
from made_explanations import NUM_PEOPLE, write_explained
from made_run import FAIR, network, rrf, write_run

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.claims.evidence import read_evidence
from pipeline_lib.delivery.claims.ledger import judge_all
from pipeline_lib.delivery.claims.words import as_text
from pipeline_lib.delivery.report.chapters.claims import Ledger, show

VIEWS = ("cfp_ff", "cfp_fp")


def judged(data, *entries, protocols=("made",), networks=None):
    """The ledger of a run with an RRFNet-56, explained by these entries."""
    made = {"ours": network(rrf(56))} if networks is None else networks
    write_run(data, made, {f"cosine:{name}": FAIR for name in made}, protocols=protocols)
    for kind, keys in entries:
        write_explained(
            data, **{"name": f"ours_{kind}", "kind": kind, "network": "ours", "protocols": protocols, **keys}
        )
    return judge_all(read_evidence(data, 300, seed=1))


@pytest.mark.parametrize(("profile", "verdict"), [(0.2, "holds"), (0.6, "contradicted"), (0.41, "undecided")])
def test_same_position_patches_matter_less_with_pose(profile, verdict, tmp_path):
    own = ("additive", {"same_position": {"cfp_ff": 0.4, "cfp_fp": profile}})
    claim = judged(tmp_path, own, protocols=VIEWS)["R6-56"]
    assert list(claim["protocols"]) == ["cfp_fp"]
    result = claim["protocols"]["cfp_fp"]
    assert result["verdict"] == verdict
    assert result["effect"] == pytest.approx(0.4 - profile, abs=0.02)  # noise of 0.02 / sqrt(30) on either side
    assert result["a"]["name"] == "cfp_ff"
    assert result["a"]["figure"] - result["b"]["figure"] == pytest.approx(result["effect"], abs=1e-12)
    assert result["num_identities"] == NUM_PEOPLE


def test_pose_is_not_measured_without_both_views(tmp_path):
    claims = judged(tmp_path, ("additive", {"same_position": {"made": 0.4}}))
    assert claims["R6-56"]["protocols"]["made"] == {
        "verdict": "not measured",
        "missing": "pairs of frontal faces and pairs of a frontal and a profile one are needed (cfp_ff and cfp_fp)",
    }
    assert claims["R6-28"]["protocols"]["made"]["missing"] == "no RRFNet-28 was trained and scored"


@pytest.mark.parametrize(
    ("curve", "own", "others", "verdict"),
    [
        ("insertion", 0.6, (0.5, 0.55), "holds"),
        ("insertion", 0.6, (0.5, 0.7), "contradicted"),
        ("insertion", 0.6, (0.5, 0.6), "undecided"),
        ("deletion", 0.2, (0.3, 0.25), "holds"),
        ("deletion", 0.2, (0.3, 0.1), "contradicted"),
        ("deletion", 0.2, (0.3, 0.2), "undecided"),
    ],
)
def test_the_own_map_against_the_best_other(curve, own, others, verdict, tmp_path):
    entries = [
        (kind, {curve: area}) for kind, area in zip(("additive", "random", "xssab"), (own, *others), strict=True)
    ]
    claim = judged(tmp_path, *entries)[f"R7-56-{curve}"]
    result = claim["protocols"]["made"]
    assert result["verdict"] == verdict
    assert result["b"]["name"] == "ours_xssab" if others[0] != others[1] else True
    best = max(others) if curve == "insertion" else min(others)
    assert result["effect"] == pytest.approx(own - best if curve == "insertion" else best - own, abs=1e-12)
    assert "B is the best of each resample of ours_random, ours_xssab, which favours B." in claim["note"]


def test_a_map_alone_is_the_most_faithful_of_nothing(tmp_path):
    claims = judged(tmp_path, ("additive", {}))
    assert claims["R7-56-insertion"]["protocols"]["made"]["missing"] == "nothing else explains ours"
    none = judged(tmp_path / "none")
    missing = "no entry of kind additive explains ours"
    assert {none[f"R7-56-{curve}"]["protocols"]["made"]["missing"] for curve in ("insertion", "deletion")} == {missing}
    assert none["R8-56-fpr"]["protocols"]["made"]["missing"] == missing


@pytest.mark.parametrize(
    ("rate", "before", "after", "verdict"),
    [
        ("fpr", 0.5, 0.1, "holds"), ("fpr", 0.1, 0.5, "contradicted"), ("fpr", 0.5, 0.5, "undecided"),
        ("fnr", 0.5, 0.5, "holds"), ("fnr", 0.5, 0.4, "holds"), ("fnr", 0.1, 0.5, "contradicted"),
        ("fnr", 0.5, 0.5333, "undecided"),  # one of thirty is lost: 3.3 points, for a margin of 2
    ],
)  # fmt: skip
def test_what_blurring_does_to_decisions(rate, before, after, verdict, tmp_path):
    result = judged(tmp_path, ("additive", {rate: (before, after)}))[f"R8-56-{rate}"]["protocols"]["made"]
    assert result["verdict"] == verdict
    assert result["effect"] == pytest.approx(before - after, abs=1e-3)
    assert (result["measure"], result["margin"]) == (("FPR", 0.0) if rate == "fpr" else ("FNR", 0.02))
    assert (result["a"]["name"], result["num_pairs"]) == ("20 % blurred", NUM_PEOPLE)


@pytest.mark.parametrize(("seconds", "verdict"), [(300.0, "holds"), (30.0, "contradicted"), (100.0, "undecided")])
def test_two_orders_slower(seconds, verdict, tmp_path):
    claims = judged(tmp_path, ("xface", {"seconds": seconds}), ("xssab", {"seconds": 1.0}))
    result = claims["S4"]["protocols"]["made"]
    assert (result["margin"], result["unit"], result["num_pairs"]) == (-2.0, "log10 s", 2 * NUM_PEOPLE)
    assert 10 ** result["effect"] == pytest.approx(seconds)
    if verdict != "undecided":  # both vary alike, so that only rounding decides at the bound itself
        assert result["verdict"] == verdict
    text = as_text({"S4": claims["S4"]})
    assert f"{seconds:.3g} times the time (95 %: " in text
    assert "A has to take more than 100 times B's." in text
    assert "A ours_xface" in text
    shown = show(Ledger({"S4": claims["S4"]}), None)["claims"][0]
    assert shown["ends"][1].startswith("A takes ")
    assert shown["rows"][0]["margin"] > 50  # right of the middle: better than equal is demanded


def test_speed_is_compared_on_one_network(tmp_path):
    claims = judged(tmp_path, ("xface", {}), ("xssab", {"network": "theirs"}))
    assert claims["S4"]["protocols"]["made"]["missing"] == "no network is explained by both methods"
    assert claims["S4"]["paper"] == "xSSAB"


def test_other_protocols_and_pairs_of_one_person_are_not_measured(tmp_path):
    entries = [("additive", {"protocols": ("made",)}), ("random", {"protocols": ("made",)})]
    rows = judged(tmp_path, *entries, protocols=("made", "val"))["R7-56-insertion"]["protocols"]
    assert rows["made"]["verdict"] == "undecided"
    assert rows["val"]["missing"] == "none of its pairs is explained"
    alone = judged(tmp_path / "one", *[(kind, {"num_people": 1}) for kind in ("additive", "random")])
    assert alone["R7-56-insertion"]["protocols"]["made"]["missing"] == "the explained pairs show one person only"


def test_figures_without_their_network_are_refused(tmp_path):
    judged(tmp_path, ("additive", {}))
    (tmp_path / "explain" / "ours_additive" / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match=r"no 'kind'[\s\S]*ours_additive"):
        read_evidence(tmp_path, 100, 1)
