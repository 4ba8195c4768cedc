"""xSSAB's claims of its patch benchmark on made tables in which each holds, fails, cannot be told, and is not measured."""

import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline_lib.core.bootstrap import IdentityBootstrap
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.delivery.claims.claim import as_record
from pipeline_lib.delivery.claims.explained import Explained
from pipeline_lib.delivery.claims.xssab_benchmark import s1, s2, s3
from pipeline_lib.schemas.replacement import REPLACEMENT

NUM_PEOPLE = 30
METHODS = {
    "xssab": ("xssab", {}),
    "random": ("random", {}),
    "xcos": ("xcos", {"map": "cosine"}),
    "xface": ("xface", {"variant": 1}),
    "xface2": ("xface", {"variant": 2}),
}
CASES = {"S1": (s1, ["xssab"], ["random"]), "S2": (s2, ["xssab"], ["xcos"]), "S3": (s3, ["xface", "xface2"], ["xssab"])}
GOOD, BAD = 4, 12  # the step from which on decisions are right, on average


def write_entry(folder, step):
    """Pairs whose decision is wrong until about a step; how far from it is the pair's own, for all methods."""
    rows = []
    for person in range(NUM_PEOPLE):
        for genuine in (True, False):
            rng = np.random.default_rng([person, genuine])
            own = (person + zlib.crc32(folder.name.encode())) % 3 - 1  # 0 on average
            turn = step + int(rng.integers(-3, 4)) + own
            wrong, right = (0.1, 0.9) if genuine else (0.9, 0.1)
            rows.append(
                {
                    "protocol": "lfw", "image_a": f"{person}a", "image_b": f"{person}{genuine}", "identity_a": f"{person}",
                    "identity_b": f"{person}" if genuine else f"{(person + 1) % NUM_PEOPLE}", "genuine": genuine,
                    "method": folder.name, "stranger": None, "threshold": 0.5, "clean_score": right,
                    "scores": [wrong] * turn + [right] * (21 - turn),
                }
            )  # fmt: skip
    write_table(folder / "replacement.parquet", table_from_rows(rows, REPLACEMENT), REPLACEMENT)


def evidence_of(folder, steps):
    """Evidence of entries that find the squares at these steps."""
    entries = []
    for name, step in steps.items():
        write_entry(folder / name, step)
        kind, settings = METHODS[name]
        entries.append(Explained(name, kind, "net", folder / name, settings))
    return SimpleNamespace(
        explained=tuple(entries),
        protocols=("lfw", "val"),
        resampled=lambda people: IdentityBootstrap(people, 200, np.random.default_rng(1)),
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("a", "b", "verdict"), [(GOOD, BAD, "holds"), (BAD, GOOD, "contradicted")])
def test_a_claim_holds_or_fails(case, a, b, verdict, tmp_path):
    judge, ours, others = CASES[case]
    claims = judge(evidence_of(tmp_path, dict.fromkeys(ours, a) | dict.fromkeys(others, b)))
    assert [claim.id for claim in claims] == [f"{case}-FMR-net", f"{case}-FNMR-net"]
    for claim in claims:
        assert list(claim.results) == ["lfw"]
        found = claim.results["lfw"]
        assert found.verdict == verdict
        assert found.effect.value == pytest.approx(found.effect.b.figure - found.effect.a.figure)
        assert (found.num_pairs, found.num_identities) == (NUM_PEOPLE, NUM_PEOPLE)
        assert as_record(claim, "xSSAB")["protocols"]["lfw"]["verdict"] == verdict


@pytest.mark.parametrize("case", ["S1", "S2"])
def test_a_claim_cannot_be_told_where_both_are_as_good(case, tmp_path):
    judge, ours, others = CASES[case]
    claims = judge(evidence_of(tmp_path, dict.fromkeys([*ours, *others], 8)))
    assert {claim.results["lfw"].verdict for claim in claims} == {"undecided"}


def test_figures_are_the_paper_s_areas_in_per_cent(tmp_path):
    """Every pair is wrong before step 4 on average: each trapezoid by hand."""
    evidence = evidence_of(tmp_path, {"xssab": GOOD, "random": BAD})
    found = s1(evidence)[1].results["lfw"].effect
    rows = evidence.explained[0].rows("lfw", REPLACEMENT, "replacement.parquet")
    scores = [row["scores"] for row in rows.values() if row["genuine"]]
    rates = [np.mean([row[step] < 0.5 for row in scores]) for step in range(21)]
    by_hand = sum(5 * (rates[step] + rates[step + 1]) / 2 for step in range(20))
    assert 100 * found.a.figure == pytest.approx(by_hand)


def test_xface_counts_with_its_best_variant(tmp_path):
    claims = s3(evidence_of(tmp_path, {"xface": BAD, "xface2": GOOD, "xssab": 8}))
    assert {claim.results["lfw"].effect.a.name for claim in claims} == {"xface2"}
    assert {claim.results["lfw"].verdict for claim in claims} == {"holds"}
    assert "A is its best entry" in claims[0].note


@pytest.mark.parametrize(
    ("judge", "there", "words"),
    [
        (s1, {"xssab": GOOD}, "both by xssab without blur and by random"),
        (s2, {"xssab": GOOD, "random": BAD}, "by xcos with map: cosine"),
        (s3, {"xface": GOOD}, "both by xface and by xssab"),
        (s1, {}, "both by xssab"),
    ],
)
def test_what_is_missing_is_said(judge, there, words, tmp_path):
    for claim in judge(evidence_of(tmp_path, there)):
        found = claim.results["lfw"]
        assert found.verdict == "not measured"
        assert words in found.what


def test_methods_of_two_networks_and_other_settings_are_not_compared(tmp_path):
    evidence = evidence_of(tmp_path, {"xssab": GOOD, "random": BAD, "xcos": BAD})
    xssab, floor, xcos = evidence.explained
    elsewhere = Explained("random", "random", "other", floor.folder)
    blurred = Explained("xssab", "xssab", "net", xssab.folder, {"blur": True})
    attention = Explained("xcos", "xcos", "net", xcos.folder, {"map": "attention"})
    for judge, entries in ((s1, (xssab, elsewhere)), (s1, (blurred, floor)), (s2, (xssab, attention))):
        evidence.explained = entries
        assert {claim.results["lfw"].verdict for claim in judge(evidence)} == {"not measured"}


def test_a_protocol_without_pairs_of_both_is_not_measured(tmp_path):
    evidence = evidence_of(tmp_path, {"xssab": GOOD, "random": BAD})
    evidence.protocols = ("lfw", "cfp_fp", "val")
    for claim in s1(evidence):
        assert claim.results["lfw"].verdict == "holds"
        assert claim.results["cfp_fp"].verdict == "not measured"
