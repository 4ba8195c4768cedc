"""Claims E1 to E10 and V1 to V5 on made tables in which each holds, fails, cannot be told, and is not measured."""

import pytest
from made_ranked import ALL_KINDS, THESIS, over_spec, say_entry, settings, vit, write_over, write_ranked
from made_run import FAIR, GOOD, network, write_run

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.claims.evidence import read_evidence
from pipeline_lib.delivery.claims.ledger import judge_all
from pipeline_lib.delivery.claims.words import as_text

QUALITY = {"cosine:net": FAIR}
WHOLE = {"top_k": None, "alpha": 1.0}


def judged(data, quality=QUALITY, protocols=("made",)):
    write_run(data, {"net": network()}, quality, protocols=protocols)
    return judge_all(read_evidence(data, 200, seed=1))


def verdict(claims, name, protocol="mask_cloth"):
    return claims[name]["protocols"][protocol]["verdict"]


@pytest.mark.parametrize(("after", "expected"), [(0.8, "holds"), (0.4, "contradicted"), (0.6, "undecided")])
def test_re_ranking_helps_each_kind_of_query_or_not(after, expected, tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.6, after, ALL_KINDS)
    claims = judged(tmp_path)
    for name, kind in zip(("E1", "E2", "E3", "E4", "E5"), ALL_KINDS, strict=True):
        assert list(claims[f"{name}-net"]["protocols"]) == [kind]
        assert verdict(claims, f"{name}-net", kind) == expected
    result = claims["E1-net"]["protocols"]["mask_cloth"]
    right = [place for number, place in enumerate(_order()) if number % 5]
    expected_sides = [sum(place < share for place in right) / len(right) for share in (after, 0.6)]
    assert [result[side]["figure"] for side in ("a", "b")] == pytest.approx(expected_sides)
    assert result["effect"] == pytest.approx(expected_sides[0] - expected_sides[1])
    assert (result["counted"], result["num_pairs"], result["num_identities"]) == ("queries", 96, 32)
    assert "96 queries of 32 people" in as_text(claims)
    assert claims["E1-net"]["note"] == "A is apc weights, alpha 0.7, native grid, the first 100."


def _order():
    import numpy as np

    return np.random.default_rng(4).permutation(120) / 120


def test_the_thesis_s_setting_stands_for_a_network_or_the_nearest_one_which_is_named(tmp_path):
    write_ranked(tmp_path, "a_other", settings(weights="sc", alpha=0.5), 0.6, 0.2)
    write_ranked(tmp_path, "b_near", settings(weights="uniform"), 0.6, 0.9)
    write_ranked(tmp_path, "c_whole", settings(**WHOLE), 0.6, 0.1)
    claims = judged(tmp_path)
    assert claims["E1-net"]["protocols"]["mask_cloth"]["a"]["name"] == "b_near"
    assert "the thesis's own, apc weights" in claims["E1-net"]["note"]
    write_ranked(tmp_path, "d_own", settings(), 0.6, 0.7)
    assert judged(tmp_path)["E1-net"]["protocols"]["mask_cloth"]["a"]["name"] == "d_own"


def test_a_combination_answers_for_each_of_its_parts_and_is_pooled_with_none(tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.6, 0.8, ("mask_n95", "mask_cloth+sunglasses"))
    claims = judged(tmp_path)
    assert list(claims["E1-net"]["protocols"]) == ["mask_cloth+sunglasses", "mask_n95"]
    assert list(claims["E2-net"]["protocols"]) == ["mask_cloth+sunglasses"]
    assert claims["E3"]["protocols"]["queries"]["missing"] == "the run has no queries cropped"


def test_each_network_has_a_claim_of_its_own(tmp_path):
    write_ranked(tmp_path, "one", settings(), 0.6, 0.8)
    write_ranked(tmp_path, "two", settings(network="other"), 0.6, 0.5)
    claims = judged(tmp_path)
    assert (verdict(claims, "E1-net"), verdict(claims, "E1-other")) == ("holds", "contradicted")


def test_uniform_and_apc_against_cc_and_native_cells_against_averaged_ones(tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.5, 0.8)
    write_ranked(tmp_path, "uniform", settings(weights="uniform"), 0.5, 0.6)
    write_ranked(tmp_path, "cc", settings(weights="cc"), 0.5, 0.6)
    write_ranked(tmp_path, "pooled", settings(pool=2), 0.5, 0.9)
    write_ranked(tmp_path, "cc_other", settings(weights="cc", alpha=0.5), 0.5, 0.1)
    claims = judged(tmp_path)
    assert verdict(claims, "E6-apc-net") == "holds"
    assert verdict(claims, "E6-uniform-net") == "undecided"
    assert claims["E6-apc-net"]["protocols"]["mask_cloth"]["b"]["name"] == "cc"
    assert verdict(claims, "E7-net") == "contradicted"
    assert claims["E7-net"]["protocols"]["mask_cloth"]["margin"] == 0.005
    write_ranked(tmp_path, "pooled", settings(pool=2), 0.5, 0.8)
    assert verdict(judged(tmp_path), "E7-net") == "holds"  # no difference lies within the margin


def test_two_stages_against_the_whole_gallery_in_first_places_and_in_time(tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.5, 0.8, seconds=0.1)
    write_ranked(tmp_path, "whole", settings(**WHOLE), 0.5, 0.6, seconds=1.0)
    claims = judged(tmp_path)
    assert (verdict(claims, "E8-net"), verdict(claims, "E8-time-net")) == ("holds", "holds")
    time = claims["E8-time-net"]["protocols"]["mask_cloth"]
    assert (time["a"]["name"], time["effect"], time["unit"]) == ("whole", pytest.approx(1.0), "log10 s")
    write_ranked(tmp_path, "whole", settings(**WHOLE), 0.5, 0.9, seconds=0.05)
    claims = judged(tmp_path)
    assert (verdict(claims, "E8-net"), verdict(claims, "E8-time-net")) == ("contradicted", "contradicted")


@pytest.mark.parametrize(("tuned", "expected"), [(0.5, "holds"), (0.9, "contradicted"), (0.7, "undecided")])
def test_re_ranking_against_the_finetuned_network_s_cosine(tuned, expected, tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.5, 0.7, ("mask_cloth", "crop"))
    write_ranked(tmp_path, "after", settings(network="tuned"), tuned, 0.1, ("mask_cloth", "crop"))
    write_over(tmp_path, "tuned", network()["spec"])
    claims = judged(tmp_path)
    assert list(claims["E9-tuned"]["protocols"]) == ["mask_cloth"]
    assert verdict(claims, "E9-tuned") == expected
    assert claims["E9-tuned"]["protocols"]["mask_cloth"]["b"]["name"] == "cosine of tuned"


def test_what_a_finetuned_network_began_as_has_to_be_told_and_its_queries_ranked(tmp_path):
    write_over(tmp_path, "tuned", network()["spec"])
    assert judged(tmp_path)["E9-tuned"]["protocols"]["queries"]["missing"].startswith(
        "rerank needs an entry of kind emd of net"
    )
    write_over(tmp_path, "tuned", network(width=1.0)["spec"])
    assert judged(tmp_path)["E9-tuned"]["protocols"]["queries"]["missing"].endswith("none has its shape")


@pytest.mark.parametrize(("emd", "expected"), [(GOOD, "holds"), (0.15, "contradicted")])
def test_the_combined_distance_verifies_better_or_not(emd, expected, tmp_path):
    say_entry(tmp_path, "combined", "embed/net", "none", "emd")
    quality = {**QUALITY, "emd:combined": emd}
    claims = _with_kinds(tmp_path, quality, ("made", "val"), {"emd:combined": "combined"})
    assert list(claims["E10-combined"]["protocols"]) == ["made"]
    assert verdict(claims, "E10-combined", "made") == expected


def _with_kinds(data, quality, protocols=("made",), renamed=None):
    """write_run takes a column's kind from its name; a score of kind emd or face_vit is named by its entry alone."""
    from pipeline_lib.matching.scores.shared import table as tables

    write_run(data, {"net": network()}, quality, protocols=protocols)
    path = data / "verify" / "scores.parquet"
    found = tables.read_scores(path)
    kinds = {(renamed or {}).get(name, name): about for name, about in tables.score_columns(found).items()}
    values = {(renamed or {}).get(name, name): found[name].to_numpy() for name in tables.score_columns(found)}
    tables.write_scores(path, tables.score_table(found, values, kinds))
    return judge_all(read_evidence(data, 200, seed=1))


def models(data, **more):
    """H1, H2 and H2L of depth 1 over `net`, scored."""
    specs = {
        "one": over_spec("hybrid_vit", embedding_dim=128),
        "cls": over_spec("face_vit", output="cls", embedding_dim=64),
        "linear": over_spec("face_vit", output="linear", embedding_dim=128),
        **more,
    }
    for name, spec in specs.items():
        write_over(data, name, spec)
        if spec["arch"] == "face_vit":
            say_entry(data, f"s_{name}", f"embed/{name}", f"networks_over/{name}", "face_vit")
    return {f"face_vit:s_{name}": f"s_{name}" for name, spec in specs.items() if spec["arch"] == "face_vit"}


@pytest.mark.parametrize(("two", "one", "expected"), [(GOOD, FAIR, "holds"), (0.2, GOOD, "contradicted")])
def test_two_images_beat_one_and_linear_outputs_the_class_token(two, one, expected, tmp_path):
    renamed = models(tmp_path)
    quality = {"cosine:one": one, "face_vit:s_cls": two, "face_vit:s_linear": two}
    claims = _with_kinds(tmp_path, quality, renamed=renamed)
    assert verdict(claims, "V1-net", "made") == expected
    assert claims["V1-net"]["note"] == "Depth 1, 2 heads, over net."
    quality = {"cosine:one": FAIR, "face_vit:s_cls": one, "face_vit:s_linear": two}
    claims = _with_kinds(tmp_path, quality, renamed=renamed)
    assert verdict(claims, "V2-net", "made") == expected
    assert claims["V2-net"]["protocols"]["made"]["a"]["name"] == "s_linear"


def test_models_of_another_depth_or_training_are_not_compared(tmp_path):
    renamed = models(tmp_path, cls=over_spec("face_vit", output="cls", depth=2))
    quality = {"cosine:one": FAIR, "face_vit:s_cls": GOOD, "face_vit:s_linear": GOOD}
    claims = _with_kinds(tmp_path, quality, renamed=renamed)
    assert verdict(claims, "V1", "made") == verdict(claims, "V2", "made") == "not measured"


@pytest.mark.parametrize(("deep", "expected"), [(0.25, "holds"), (GOOD, "contradicted")])
def test_depth_one_suffices_or_not(deep, expected, tmp_path):
    more = {f"d{depth}": over_spec("face_vit", output="linear", depth=depth, embedding_dim=128) for depth in (2, 4)}
    renamed = models(tmp_path, **more)
    quality = {"face_vit:s_linear": FAIR, "face_vit:s_d2": 0.2, "face_vit:s_d4": deep, "face_vit:s_cls": FAIR}
    claims = _with_kinds(tmp_path, quality, renamed=renamed)
    assert verdict(claims, "V3-linear", "made") == expected
    assert "best of depth 2, 4" in claims["V3-linear"]["note"]
    assert "V3-cls" not in claims


def test_face_vit_re_ranks_as_well_as_emd_and_twice_as_fast(tmp_path):
    write_over(tmp_path, "vit", over_spec("face_vit", output="linear"))
    write_ranked(tmp_path, "apc", settings(), 0.5, 0.7, seconds=0.3)
    write_ranked(tmp_path, "h2l", vit(), 0.5, 0.7, seconds=0.1)
    claims = judged(tmp_path)
    assert (verdict(claims, "V4-net"), verdict(claims, "V5-net")) == ("holds", "holds")
    assert claims["V4-net"]["protocols"]["mask_cloth"]["margin"] == 0.01
    speed = claims["V5-net"]["protocols"]["mask_cloth"]
    assert (speed["a"]["name"], 10 ** speed["effect"]) == ("apc", pytest.approx(3.0))
    assert 10 ** speed["a"]["figure"] == pytest.approx(0.003, rel=0.1)  # a pair's, of a hundred
    write_ranked(tmp_path, "h2l", vit(), 0.5, 0.6, seconds=0.16)
    claims = judged(tmp_path)
    assert (verdict(claims, "V4-net"), verdict(claims, "V5-net")) == ("contradicted", "contradicted")


def test_face_vit_is_compared_with_emd_of_the_same_candidates_only(tmp_path):
    write_over(tmp_path, "vit", over_spec("face_vit", output="linear"))
    write_ranked(tmp_path, "apc", settings(top_k=50), 0.5, 0.7)
    write_ranked(tmp_path, "h2l", vit(), 0.5, 0.7)
    claims = judged(tmp_path)
    assert verdict(claims, "V4", "queries") == verdict(claims, "V5", "queries") == "not measured"


def test_without_re_rankings_nothing_is_measured_and_each_says_what_is_missing(tmp_path):
    claims = judged(tmp_path)
    rows = {name: next(iter(claim["protocols"].values())) for name, claim in claims.items() if name[0] in "EV"}
    assert set(rows) == THESIS
    assert {row["verdict"] for row in rows.values()} == {"not measured"}
    assert all(row["missing"] for row in rows.values())
    assert "None" not in as_text(claims)


def test_queries_of_one_person_or_of_nobody_in_common_are_no_measurement(tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.5, 0.7, num_people=1)
    assert judged(tmp_path)["E1-net"]["protocols"]["mask_cloth"]["missing"] == "its queries show one person only"


def test_a_re_ranking_that_does_not_say_what_it_is_is_refused(tmp_path):
    write_ranked(tmp_path, "apc", settings(), 0.5, 0.7)
    (tmp_path / "rerank" / "apc" / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match=r"lack a key[\s\S]*rerank/apc/metrics"):
        judged(tmp_path)
