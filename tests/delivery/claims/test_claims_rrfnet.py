"""RRFNet's claims on made tables in which each holds, fails, cannot be told, and is not measured."""

import numpy as np
import pytest
from made_run import FAIR, GOOD, bagnet, network, rrf, write_run

from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.delivery.claims.evidence import read_evidence
from pipeline_lib.delivery.claims.ledger import judge_all
from pipeline_lib.matching.scores.shared.table import read_scores

# What each claim compares: the networks (or none, for regions), A's columns and B's.
WHOLE = {"whole": network()}
CASES = {
    "R1": ({**WHOLE, "ours": network(rrf(56))}, ["cosine:ours"], ["cosine:whole"]),
    "R2": ({**WHOLE, "ours": network(rrf(28))}, ["cosine:ours"], ["cosine:whole"]),
    **{
        f"R3-{side}": (
            {"none": network(rrf(side, 0.0)), "some": network(rrf(side, 0.2)), "more": network(rrf(side, 0.4))},
            ["cosine:some", "cosine:more"],
            ["cosine:none"],
        )
        for side in (28, 56)
    },
    "R4": ({}, ["regions:28_56"], ["regions:28", "regions:56"]),
    "R5-28": ({"ours": network(rrf(28)), "bag": bagnet(17)}, ["cosine:ours"], ["cosine:bag"]),
    "R5-56": ({"ours": network(rrf(56)), "bag": bagnet(33)}, ["cosine:ours"], ["cosine:bag"]),
}


def judged(tmp_path, networks, quality, **options):
    write_run(tmp_path, networks, quality, **options)
    return judge_all(read_evidence(tmp_path, 200, seed=1))


def scores(case, a, b):
    _, ours, others = CASES[case]
    return dict.fromkeys(ours, a) | dict.fromkeys(others, b)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("a", "b", "verdict"), [(GOOD, FAIR, "holds"), (FAIR, GOOD, "contradicted")])
def test_a_claim_holds_or_fails(case, a, b, verdict, tmp_path):
    claims = judged(tmp_path, CASES[case][0], scores(case, a, b))
    result = claims[case]["protocols"]["made"]
    assert result["verdict"] == verdict
    assert result["low"] < result["effect"] < result["high"]
    assert result["effect"] == pytest.approx(result["a"]["figure"] - result["b"]["figure"], abs=1e-12)
    assert {column.rpartition(":")[2] for column in CASES[case][1]} >= {result["a"]["name"].rpartition(":")[2]}
    assert (result["num_pairs"], result["num_identities"]) == (720, 60)


@pytest.mark.parametrize("case", [case for case in CASES if case in ("R1", "R5-28", "R5-56")])
def test_a_claim_cannot_be_told_where_both_are_as_good(case, tmp_path):
    result = judged(tmp_path, CASES[case][0], scores(case, FAIR, FAIR))[case]["protocols"]["made"]
    assert result["verdict"] == "undecided"
    assert result["low"] <= 0 <= result["high"]


@pytest.mark.parametrize("case", ["R3-28", "R3-56", "R4"])
def test_the_best_of_two_is_as_good_as_the_third(case, tmp_path):
    one, two = (CASES[case][1] + CASES[case][2])[-2:]
    quality = dict.fromkeys(CASES[case][1] + CASES[case][2], 0.1) | {one: FAIR, two: FAIR}
    result = judged(tmp_path, CASES[case][0], quality)[case]["protocols"]["made"]
    assert result["verdict"] == ("undecided" if case != "R4" else "contradicted")


def test_28_px_may_lose_two_points_of_accuracy_but_not_three(tmp_path):
    # The same score, and one that loses about 1, about 4 points of accuracy.
    found = {}
    for name, quality in (("equal", FAIR), ("little", 0.29), ("much", 0.24)):
        claims = judged(tmp_path / name, CASES["R2"][0], {"cosine:ours": quality, "cosine:whole": FAIR})
        found[name] = claims["R2"]["protocols"]["made"]
    assert {name: result["verdict"] for name, result in found.items()} == {
        "equal": "holds", "little": "holds", "much": "contradicted",
    }  # fmt: skip
    assert found["little"]["effect"] < 0
    assert found["much"]["margin"] == 0.02
    assert found["much"]["measure"] == "accuracy"
    assert found["much"]["beside"]["measure"] == "AUC"


def test_figures_are_those_of_the_pairs(tmp_path):
    claims = judged(tmp_path, CASES["R1"][0], scores("R1", GOOD, FAIR))
    table = read_scores(tmp_path / "verify" / "scores.parquet")
    genuine = table["genuine"].to_numpy()
    aucs = [area_under(roc_curve(table[name].to_numpy(), genuine)) for name in ("cosine:ours", "cosine:whole")]
    sides = [claims["R1"]["protocols"]["made"][side]["figure"] for side in ("a", "b")]
    np.testing.assert_allclose(sides, aucs, rtol=0, atol=1e-12)


def test_every_protocol_has_its_own_row_and_the_validation_pairs_the_last(tmp_path):
    networks, quality = CASES["R1"][0], scores("R1", GOOD, FAIR)
    one = judged(tmp_path / "one", networks, quality, protocols=("lfw",))["R1"]["protocols"]
    rows = judged(tmp_path / "three", networks, quality, protocols=("val", "lfw", "cfp_fp"))["R1"]["protocols"]
    assert list(rows) == ["lfw", "cfp_fp", "val"]
    assert {row["num_pairs"] for row in rows.values()} == {720}  # of one protocol, never of all three
    assert len({row["effect"] for row in rows.values()}) == 3
    assert one["lfw"]["num_pairs"] == 720


def test_without_networks_and_scores_everything_is_not_measured(tmp_path):
    claims = judged(tmp_path, {}, {"raw_pixel": 0.1})
    rows = {name: claim["protocols"]["made"] for name, claim in claims.items() if "made" in claim["protocols"]}
    assert {row["verdict"] for row in rows.values()} == {"not measured"}
    missing = {name: row["missing"] for name, row in rows.items()}
    assert missing["R1"] == "no RRFNet-56 was trained and scored"
    assert (
        missing["R3-28"]
        == "RRFNet-28 is needed with 0, 20 and 40 % of its patches masked and otherwise alike (there is none)"
    )
    assert missing["R4"] == "no score of kind regions has 28, 56 and both together"


@pytest.mark.parametrize(
    "whole",
    [
        network(epochs=30), network(num_images=9), network(num_steps=9), network(width=1.0), network(blocks=[2, 2, 2, 2]),
        network(arch="vit"), network(head={"kind": "adaface", "scale": 32.0, "margin": 0.3}), network(trained=False),
        network(embedding_dim=64), network(rrf(56, layout="all9")), network(checkpoint="weights.pth"),
        network(teacher="dlib_resnet"),
    ],
)  # fmt: skip
def test_only_networks_of_the_same_budget_are_compared(whole, tmp_path):
    claims = judged(
        tmp_path, {"arcface": whole, "ours": network(rrf(56))}, {"cosine:ours": GOOD, "cosine:arcface": FAIR}
    )
    row = claims["R1"]["protocols"]["made"]
    assert row["verdict"] == "not measured"
    assert row["missing"].startswith("there is no network on the whole face with ArcFace's head")


def test_names_decide_nothing(tmp_path):
    networks = {"rrfnet56": network(), "iresnet": network(rrf(56))}
    row = judged(tmp_path, networks, {"cosine:iresnet": GOOD, "cosine:rrfnet56": FAIR})["R1"]["protocols"]["made"]
    assert (row["a"]["name"], row["b"]["name"], row["verdict"]) == ("iresnet", "rrfnet56", "holds")


def test_of_several_networks_the_papers_layout_and_the_middle_share_are_taken_whatever_came_of_them(tmp_path):
    networks = {
        "a_corners": network(rrf(56, 0.2, "corners5")),
        "b_more": network(rrf(56, 0.4)),
        "c_some": network(rrf(56, 0.2)),
        "d_none": network(rrf(56, 0.0)),
        **WHOLE,
    }
    quality = dict.fromkeys((f"cosine:{name}" for name in networks), GOOD) | {"cosine:c_some": 0.1}
    claim = judged(tmp_path, networks, quality)["R1"]
    assert claim["protocols"]["made"]["a"]["name"] == "c_some"
    assert "c_some has 20 % of the patches masked in training (the paper reports 20, 40 and 0 %" in claim["note"]
    networks = {"only": network(rrf(56, 0.0, "all9")), **WHOLE}
    claim = judged(tmp_path / "other", networks, {"cosine:only": GOOD, "cosine:whole": FAIR})["R1"]
    assert claim["note"].endswith("The layout is all9, the paper's cross5.")


def test_masking_needs_both_shares_and_says_which_are_there(tmp_path):
    networks = {"none": network(rrf(28, 0.0)), "more": network(rrf(28, 0.4))}
    row = judged(tmp_path, networks, {"cosine:none": FAIR, "cosine:more": GOOD})["R3-28"]["protocols"]["made"]
    assert row["missing"].endswith("(there: 0 %, 40 %)")


def test_masking_compares_one_way_of_masking_and_one_layout(tmp_path):
    networks = {
        "none": network(rrf(56, 0.0)),
        "some": network(rrf(56, 0.2)),
        "more": network(rrf(56, 0.4, mask_mode="zero")),
        "other": network(rrf(56, 0.4, "all9")),
    }
    row = judged(tmp_path, networks, dict.fromkeys((f"cosine:{name}" for name in networks), FAIR))
    assert row["R3-56"]["protocols"]["made"]["verdict"] == "not measured"


def test_bagnet_of_equal_blocks_is_preferred_and_others_are_named_as_such(tmp_path):
    ours, deep = network(rrf(28)), bagnet(17, blocks=[3, 4, 6, 3])
    quality = {"cosine:ours": GOOD, "cosine:a_deep": FAIR, "cosine:b_equal": FAIR}
    claims = judged(tmp_path, {"ours": ours, "a_deep": deep, "b_equal": bagnet(17)}, quality)
    assert claims["R5-28"]["protocols"]["made"]["b"]["name"] == "b_equal"
    alone = judged(tmp_path / "alone", {"ours": ours, "a_deep": deep}, quality)
    assert alone["R5-28"]["protocols"]["made"]["b"]["name"] == "a_deep"
    assert "differ in their numbers of blocks" in alone["R5-28"]["note"]
    assert claims["R5-56"]["protocols"]["made"]["missing"] == "no RRFNet-56 was trained and scored"


def test_too_few_people_are_no_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline_lib.matching.verification.paired_bootstrap.MAX_REDRAWN_SHARE", -1.0)
    row = judged(tmp_path, CASES["R1"][0], scores("R1", GOOD, FAIR))["R1"]["protocols"]["made"]
    assert row == {"verdict": "not measured", "missing": "the protocol has too few identities to resample them"}
