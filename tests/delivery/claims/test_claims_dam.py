"""DAM's claims on made scores in which each holds, fails, cannot be told, and is not measured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_run import FAIR, GOOD, write_about, write_run

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import roc_curve, tar_at_far
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.delivery.claims.evidence import read_evidence
from pipeline_lib.delivery.claims.ledger import judge_all
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE
from pipeline_lib.matching.scores.shared.table import read_scores, score_table, write_scores
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.templates import TEMPLATES

RATES = (0.01, 0.1, 1e-4)  # 360 impostor pairs tell no FAR of 1e-4
ANCHORS = {
    "real": {"kind": "real", "network": "net", "scale": 1.0, "num_neighbours": 10},
    "weights": {"kind": "class_weights", "network": "net", "scale": 1.0, "num_neighbours": 10},
    "gan": {"kind": "generated", "network": "net", "scale": 1.0, "num_neighbours": 10},
    "few": {"kind": "folder", "network": "net", "scale": 1.0, "num_neighbours": 5},
}
DAM = {"kind": "dam", "of": "embed/net", "with": "anchors/real"}
SWEEP = {"kind": "dam_sweep", "of": "embed/net", "with": "anchors/real"}


def judged(
    data: Path, quality: dict[str, float], entries: dict[str, dict[str, Any]], anchors: Any = ANCHORS
) -> dict[str, Any]:
    """The claims of DAM: scores of wanted quality (made_run), and the entries that they are columns of."""
    write_run(data, {}, quality)
    write_entries(data, entries, anchors)
    found = judge_all(read_evidence(data, 200, 1, RATES))
    return {name: claim for name, claim in found.items() if claim["paper"] == "DAM"}


def write_entries(data: Path, entries: dict[str, dict[str, Any]], anchors: dict[str, dict[str, Any]]) -> None:
    """What score@ and build_anchors@ leave of each entry: here only what it is."""
    table = read_scores(data / "verify" / "scores.parquet")
    for name, raw in entries.items():
        entry = Score.model_validate(raw)
        write_scores(data / "scores" / f"{name}.parquet", score_table(table, {}, {}, entry))
    for name, about in anchors.items():
        write_about(data / "anchors" / name / ANCHORS_FILE, about)


@pytest.mark.parametrize(("dam", "cosine", "verdict"), [(GOOD, 0.2, "holds"), (0.2, GOOD, "contradicted")])
def test_dam_against_the_cosine_of_its_network(tmp_path: Path, dam: float, cosine: float, verdict: str) -> None:
    quality = {"cosine:net": cosine, "cosine:other": FAIR, "dam:r": dam, "dam:l": cosine}
    claims = judged(tmp_path, quality, {"dam": DAM})
    assert set(claims) == {"D1-net-0.1", "D1-net-0.01", "D2-net-0.1", "D2-net-0.01", "D3", "D4"}
    row = claims["D1-net-0.01"]["protocols"]["made"]
    assert (row["verdict"], row["a"]["name"], row["b"]["name"]) == (verdict, "dam:r", "net")
    assert row["measure"] == "TAR@FAR 0.01"
    assert claims["D2-net-0.01"]["protocols"]["made"]["verdict"] == "undecided"
    assert claims["D1-net-0.1"]["note"] == "dam, real anchors real, k = 10, s = 1."
    table = read_scores(tmp_path / "verify" / "scores.parquet")
    roc = roc_curve(table["dam:r"].to_numpy(), table["genuine"].to_numpy())
    assert row["a"]["figure"] == tar_at_far(roc, 0.01)


def test_the_papers_form_and_anchors_come_first_and_each_network_has_its_claim(tmp_path: Path) -> None:
    entries = {
        "a_product": {**DAM, "form": "product"},
        "b_few": {**DAM, "with": "anchors/few"},
        "c_real": DAM,
        "d_other": {**DAM, "of": "embed/other", "with": "anchors/theirs"},
    }
    anchors = {**ANCHORS, "theirs": {"kind": "real", "network": "other", "scale": 2.0, "num_neighbours": 10}}
    quality = {"cosine:net": FAIR, "cosine:other": FAIR} | {
        f"{name}:{part}": GOOD for name in entries for part in ("r", "l")
    }
    claims = judged(tmp_path, quality, entries, anchors)
    note = "c_real, real anchors real, k = 10, s = 1. Chosen before b_few, a_product: the paper's form, kind, k and s first."
    assert claims["D1-net-0.01"]["note"] == note
    assert claims["D1-other-0.01"]["note"] == "d_other, real anchors theirs, k = 10, s = 2."
    assert claims["D1-net-0.01"]["protocols"]["made"]["a"]["name"] == "c_real:r"


@pytest.mark.parametrize(("worst", "verdict"), [(GOOD, "holds"), (GOOD - 0.2, "contradicted")])
def test_kinds_of_anchors(tmp_path: Path, worst: float, verdict: str) -> None:
    entries = {
        "real": DAM,
        "weights": {**DAM, "with": "anchors/weights"},
        "gan": {**DAM, "with": "anchors/gan"},
        "few": {**DAM, "with": "anchors/few"},  # of another k
    }
    quality = {"cosine:net": FAIR, "few:r": 0.0, "real:r": GOOD, "weights:r": GOOD, "gan:r": worst}
    write_run(tmp_path, {}, quality)
    if verdict == "holds":  # the same scores up to what no rank sees
        table = read_scores(tmp_path / "verify" / "scores.parquet")
        for name in ("weights:r", "gan:r"):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(place), table["real:r"])
        write_scores(tmp_path / "verify" / "scores.parquet", table)
    write_entries(tmp_path, entries, ANCHORS)
    read = read_evidence(tmp_path, 200, 1, RATES)
    claim = judge_all(read)["D3-net-0.01"]
    row = claim["protocols"]["made"]
    assert row["verdict"] == verdict
    assert row["margin"] == 0.005
    assert row["b"]["figure"] - row["a"]["figure"] == pytest.approx(-row["effect"])
    assert "few" not in claim["note"]
    figures = np.stack([read.figures("made", f"{name}:r", "TAR@FAR 0.01") for name in ("real", "weights", "gan")])
    differences = figures.min(axis=0) - figures.max(axis=0)
    assert [row["low"], row["high"]] == np.percentile(differences[1:], [2.5, 97.5]).tolist()


SWEPT = ("k=1", "k=10", "k=50", "s=0.5", "s=1", "a=100")


@pytest.mark.parametrize(("best", "verdict"), [("k=10", "holds"), ("s=0.5", "contradicted"), ("a=100", "holds")])
def test_k_and_s_against_the_best_of_the_sweep(tmp_path: Path, best: str, verdict: str) -> None:
    quality = {f"sweep:{value}": 0.1 for value in SWEPT} | {"sweep:k=10": 0.3, "cosine:net": 0.1}
    quality[f"sweep:{best}"] = GOOD
    row = judged(tmp_path, quality, {"sweep": SWEEP})["D4-net-0.1"]["protocols"]["made"]
    assert (row["verdict"], row["a"]["name"]) == (verdict, "sweep:k=10")
    assert row["b"]["name"] == (f"sweep:{best}" if best != "a=100" else "sweep:k=10")
    assert row["effect"] <= 0


def test_k_and_s_of_anchors_with_another_s_or_k(tmp_path: Path) -> None:
    quality = {f"sweep:{value}": 0.3 for value in SWEPT}
    anchors = {"real": {**ANCHORS["real"], "scale": 2.0}}
    row = judged(tmp_path / "s", quality, {"sweep": SWEEP}, anchors)["D4-net-0.1"]["protocols"]["made"]
    assert row["a"]["name"] == "sweep:s=1"
    neither = {"real": {**anchors["real"], "num_neighbours": 5}}
    claims = judged(tmp_path / "neither", quality, {"sweep": SWEEP}, neither)
    assert claims["D4"]["protocols"]["made"]["missing"].startswith(
        "no score of kind dam_sweep has a column with k = 10"
    )


def test_without_dam_nothing_is_measured(tmp_path: Path) -> None:
    claims = judged(tmp_path, {"cosine:net": FAIR}, {})
    assert {row["verdict"] for claim in claims.values() for row in claim["protocols"].values()} == {"not measured"}
    assert list(claims) == ["D1", "D2", "D3", "D4"]


def test_a_damaged_anchor_file_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, {}, {"cosine:net": FAIR})
    write_entries(tmp_path, {}, {"real": ANCHORS["real"]})
    path = tmp_path / "anchors" / "real" / ANCHORS_FILE
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"anchor file is damaged[\s\S]*real/anchors\.arrow"):
        read_evidence(tmp_path, 100, 1)


def test_templates_are_resampled_by_their_person(tmp_path: Path) -> None:
    quality = {"cosine:net": FAIR, "dam:r": GOOD, "dam:l": GOOD}
    plain = judged(tmp_path, quality, {"dam": DAM})
    path = tmp_path / "verify" / "scores.parquet"
    table = read_scores(path)
    for side in ("image_a", "image_b"):  # each image as a template of its own
        place = table.schema.get_field_index(side)
        names = [f"template of {name}" for name in table[side].to_pylist()]
        table = table.set_column(place, table.schema.field(place), [names])
    write_scores(path, table)
    images = {name.removeprefix("template of ") for side in ("image_a", "image_b") for name in table[side].to_pylist()}
    rows = [{"template": f"template of {name}", "image_id": name, "media": name} for name in sorted(images)]
    write_table(tmp_path / "ingest" / "templates.parquet", table_from_rows(rows, TEMPLATES), TEMPLATES)
    found = judge_all(read_evidence(tmp_path, 200, 1, RATES))
    result, expected = (each["D1-net-0.01"]["protocols"]["made"] for each in (found, plain))
    assert result["effect"] == expected["effect"]
    assert result["num_identities"] == 60
    assert result["low"] == pytest.approx(expected["low"], abs=0.05)  # people are numbered in another order
