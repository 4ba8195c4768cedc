"""Stage claims, and the ledger in words."""

import json
import re
import sys
from contextlib import contextmanager

import pyarrow.compute as pc
import pytest
import yaml
from made_ranked import THESIS
from made_run import FAIR, GOOD, network, rrf, write_run

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.delivery.claims.claim import Effect, Measured, Side
from pipeline_lib.delivery.claims.evidence import read_evidence
from pipeline_lib.delivery.claims.ledger import judge_all
from pipeline_lib.delivery.claims.words import as_text, points
from pipeline_lib.matching.scores.shared.table import read_scores, write_scores
from pipeline_lib.schemas.templates import TEMPLATES
from stages import claims as stage

NETWORKS = {"whole": network(), "rrf56": network(rrf(56)), "rrf28": network(rrf(28, 0.4))}
QUALITY = {"cosine:whole": FAIR, "cosine:rrf56": GOOD, "cosine:rrf28": 0.1}


class Recorder:
    """What a stage logs."""

    def __init__(self):
        self.metrics, self.tags, self.artifacts = {}, {}, []
        self.log_metrics, self.set_tags = self.metrics.update, self.tags.update
        self.log_artifact = self.artifacts.append


@pytest.fixture
def rebuilt(tmp_path, monkeypatch):
    """A made run after its stage claims: claims.json, and what was logged."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "data", NETWORKS, QUALITY, protocols=("val", "lfw"))
    for folder in ("explain", "scores", "rerank", "networks_over", "train_over"):
        (tmp_path / "data" / folder).mkdir()
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"claims": {"num_bootstrap": 100, "seed": 19}}))
    recorder = Recorder()

    @contextmanager
    def recorded(name, params, inputs):
        assert (name, params["claims"]["seed"]) == ("claims", 19)
        assert all(path.exists() for path in inputs.values())
        yield recorder

    monkeypatch.setattr(stage, "stage_run", recorded)
    stage.main(tmp_path / "data", tmp_path / "data" / "claims")
    return json.loads((tmp_path / "data" / "claims" / "claims.json").read_text()), recorder


def test_the_file_is_nested_by_claim_and_protocol(rebuilt):
    claims, _ = rebuilt
    of_why = {f"R6-{side}" for side in (28, 56)} | {
        f"R7-{side}-{curve}" for side in (28, 56) for curve in ("insertion", "deletion")
    }
    of_why |= {f"R8-{side}-{rate}" for side in (28, 56) for rate in ("fpr", "fnr")} | {"S4"}
    of_why |= {f"S{number}-{error}" for number in (1, 2, 3) for error in ("FMR", "FNMR")}
    assert set(claims) == {"R1", "R2", "R3-28", "R3-56", "R4", "R5-28", "R5-56", *of_why, *THESIS}
    assert set(claims["R1"]["protocols"]) == {"lfw", "val"}
    assert claims["R1"]["paper"] == "RRFNet"
    row = claims["R1"]["protocols"]["lfw"]
    assert row["verdict"] == "holds"
    assert (row["a"]["name"], row["b"]["name"], row["measure"]) == ("rrf56", "whole", "AUC")
    assert claims["R2"]["protocols"]["lfw"]["verdict"] == "contradicted"
    assert set(claims["R4"]["protocols"]["lfw"]) == {"verdict", "missing"}


def test_what_is_logged(rebuilt):
    claims, recorder = rebuilt
    measured = {
        f"claims/{name}/{protocol}/{key}"
        for name in ("R1", "R2")
        for protocol in ("lfw", "val")
        for key in ("effect", "low", "high")
    }
    assert set(recorder.metrics) == measured
    assert recorder.metrics["claims/R1/lfw/low"] == claims["R1"]["protocols"]["lfw"]["low"]
    assert recorder.tags["claims/R2/val"] == "contradicted"
    assert recorder.tags["claims/R4/lfw"] == "not measured"
    assert len(recorder.tags) == sum(len(claim["protocols"]) for claim in claims.values())
    assert [path.name for path in recorder.artifacts] == ["claims.json"]


def test_the_same_run_gives_the_same_file_and_another_seed_other_intervals(rebuilt, tmp_path):
    claims, _ = rebuilt
    assert json.loads(json.dumps(judge_all(read_evidence(tmp_path / "data", 100, 19)))) == claims
    other = judge_all(read_evidence(tmp_path / "data", 100, 20))
    assert other["R1"]["protocols"]["lfw"]["effect"] == claims["R1"]["protocols"]["lfw"]["effect"]
    assert other["R1"]["protocols"]["lfw"]["low"] != claims["R1"]["protocols"]["lfw"]["low"]


def test_a_training_record_without_its_head_is_refused(tmp_path):
    made = network(rrf(56))
    del made["training"]["head"]
    write_run(tmp_path, {"ours": made}, {"cosine:ours": GOOD})
    with pytest.raises(DataError, match=r"no 'head'[\s\S]*train/ours"):
        read_evidence(tmp_path, 100, 1)


def test_what_an_earlier_rebuild_left_is_no_part_of_the_run(tmp_path):
    old = {"spec": {"arch": "rrfnet"}, "training": {}}  # of another format, too
    write_run(tmp_path, {"whole": network(), "old": old}, {"cosine:whole": FAIR, "cosine:over_others": GOOD})
    assert [found.name for found in read_evidence(tmp_path, 100, 1).networks] == ["whole"]


def test_pairs_of_templates_are_no_part_of_the_claims(tmp_path):
    write_run(tmp_path, {"whole": network()}, {"cosine:whole": FAIR}, protocols=("val", "lfw"))
    scores = read_scores(tmp_path / "verify" / "scores.parquet")
    faces = pc.if_else(pc.equal(scores["protocol"], "lfw"), "a template", scores["image_a"])
    write_scores(tmp_path / "verify" / "scores.parquet", scores.set_column(2, "image_a", faces))
    rows = [{"template": "a template", "image_id": "im", "media": "im", "weight": 1.0}]
    write_table(tmp_path / "ingest" / "templates.parquet", table_from_rows(rows, TEMPLATES), TEMPLATES)
    assert read_evidence(tmp_path, 100, 1).protocols == ("val",)


def test_a_pair_of_an_unknown_image_is_refused(tmp_path):
    write_run(tmp_path, NETWORKS, QUALITY)
    write_run(tmp_path / "small", {}, {}, num_people=20)
    (tmp_path / "small" / "ingest" / "manifest.parquet").replace(tmp_path / "ingest" / "manifest.parquet")
    with pytest.raises(DataError, match="not in the manifest"):
        judge_all(read_evidence(tmp_path, 100, 1))


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.001, 0.1, 0.0, "holds"), (0.0, 0.1, 0.0, "undecided"), (-0.1, 0.0, 0.0, "undecided"), (0.0, 0.0, 0.0, "undecided"),
        (-0.1, -0.001, 0.0, "contradicted"), (-0.019, 0.1, 0.02, "holds"), (-0.02, 0.1, 0.02, "undecided"),
        (-0.1, -0.019, 0.02, "undecided"), (-0.1, -0.021, 0.02, "contradicted"), (0.0, 0.0, 0.02, "holds"),
    ],
)  # fmt: skip
def test_verdicts(low, high, margin, verdict):
    side = Side("", 0.9)
    effect = Effect("AUC", (low + high) / 2, low, high, side, side)
    assert Measured(effect, margin, 10, 5, 0).verdict == verdict


def test_the_words_say_each_figure_and_what_is_missing(rebuilt):
    claims, _ = rebuilt
    text = as_text(claims)
    row = claims["R1"]["protocols"]["lfw"]
    line = next(line for line in text.splitlines() if line.strip().startswith("lfw"))
    assert re.search(rf"lfw +holds +\{points(row['effect'])} points of AUC \(95 %: ", line)
    assert f"A rrf56 {100 * row['a']['figure']:.2f}, B whole {100 * row['b']['figure']:.2f}" in line
    assert "720 pairs of 60 people" in line
    assert "Within a margin of 2 points." in text
    assert "beside it" in text
    assert text.count("not measured: no score of kind regions") == 1  # one line for both protocols
    assert max(map(len, text.splitlines())) <= 150


def test_words_of_figures():
    assert [points(value) for value in (0.0123, -0.0123, 0.0, -0.00001)] == ["+1.23", "−1.23", "0.00", "0.00"]
    assert as_text({}) == "There are no claims."


def test_judging_needs_no_torch():
    import subprocess

    code = "import sys, pipeline_lib.delivery.claims.ledger; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
