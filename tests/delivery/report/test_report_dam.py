"""The chapter on DAM: tables from made scores, whole and with parts absent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fake_rebuild import make_about
from made_run import FAIR, GOOD, write_about, write_run

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.delivery.report.chapters import dam
from pipeline_lib.delivery.report.html import render
from pipeline_lib.delivery.report.tables import Table
from pipeline_lib.matching.anchors.shared.anchors import Anchors, write_anchors
from pipeline_lib.matching.scores.shared.table import read_scores, score_table, write_scores
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.anchor_cosines import ANCHOR_COSINES
from pipeline_lib.schemas.anchor_training import ANCHOR_TRAINING

OF = {"of": "embed/net", "with": "anchors/real"}
ENTRIES = {
    "dam": {"kind": "dam", **OF},
    "dam_weights": {"kind": "dam", "of": "embed/net", "with": "anchors/weights"},
    "cohort": {"kind": "cohort", **OF, "top_k": 10},
    "sweep": {"kind": "dam_sweep", **OF},
}
QUALITY = {
    "cosine:net": FAIR, "dam:r": GOOD, "dam:l": FAIR, "dam_weights:r": FAIR, "dam_weights:l": FAIR, "cohort:z": FAIR,
    "sweep:k=1": FAIR, "sweep:k=10": GOOD, "sweep:s=1": GOOD, "sweep:s=4": FAIR,
}  # fmt: skip
METRICS = {"num_anchors": 30, "lid_mean": 12.3456, "lid_std": 1.0, "lid_rmse": 0.5}


def write_dam(data: Path, whole: bool) -> None:
    """Scores and anchors; `whole`: with all that the chapter can draw."""
    write_run(data, {}, QUALITY)
    path = data / "verify" / "scores.parquet"
    table = read_scores(path)
    if whole:
        place = table.schema.get_field_index("group")
        groups = pa.array(["old" if number % 3 else "young" for number in range(table.num_rows)])
        write_scores(path, table := table.set_column(place, table.schema.field(place), groups))
    for name, entry in ENTRIES.items():
        write_scores(data / "scores" / f"{name}.parquet", score_table(table, {}, {}, Score.model_validate(entry)))
    row = {"accuracy_mean": 0.9, "tar@0.01": 0.5, "tar@0.01_low": 0.4, "tar@0.0001": 0.4}
    _json(data / "verify" / "metrics.json", {"made": {name: row for name in QUALITY if not name.startswith("sweep")}})
    rng = np.random.default_rng(0)
    names = [f"t{number}" for number in range(30)]
    write_anchors(
        data / "anchors/real/anchors.arrow",
        Anchors(names, names, rng.normal(size=(30, 6)), "net", 1.0, 10, "real", "digest"),
    )
    about = {"network": "net", "scale": 1.0, "num_neighbours": 10, "kind": "class_weights"}
    write_about(data / "anchors/weights/anchors.arrow", about)
    likeness = {"likeness": {"made": {"auc": 0.25}}} if whole else {}
    for name in ("real", "weights"):
        _json(data / "anchors" / name / "metrics.json", METRICS | likeness)
    num = 90
    owners = [f"p{number % (10 if whole else 45)}" for number in range(num)]
    keys, plain = [f"im{number}" for number in range(num)], (["test"] * num, [None] * num)
    vectors = (rng.normal(size=(num, 6)) + 1).astype(np.float32)
    write_embeddings(data / "embed/net", EmbeddingSet(keys, keys, owners, *plain, vectors, None, []))
    if whole:
        rows: list[dict[str, Any]] = [
            {
                "image_id": f"t{number}", "identity": "t", "held_out": False, "log_lid": 2.0, "log_lid_learned": 2.0,
                "own_cosine": float(rng.normal()), "own_probability": float(rng.random()),
            }
            for number in range(200)
        ]  # fmt: skip
        write_table(data / "anchors/weights/training.parquet", table_from_rows(rows, ANCHOR_TRAINING), ANCHOR_TRAINING)
        rows = [{"image_id": f"t{i}", "rank": rank, "cosine": 1 / (rank + i)} for i in range(5) for rank in (1, 2, 3)]
        write_table(data / "anchors/real/cosines.parquet", table_from_rows(rows, ANCHOR_COSINES), ANCHOR_COSINES)
        counts = {"num_genuine": 40, "num_impostor": 5000, "tar@0.001": 0.5}
        _json(data / "all_pairs/low/metrics.json", {"cosine": counts, "dam_r": {**counts, "tar@0.001": 0.625}})
        (data / "all_pairs/low/roc.csv").write_text("score,far,tar\ncosine,0,0\ncosine,1,1\ndam_r,0,0\ndam_r,1,1\n")


def shown(data: Path) -> tuple[dict[str, Any], str]:
    """The template's values, and the chapter."""
    found = dam.read(data)
    assert found is not None
    low = {
        "of": "embed/iresnet",
        "with": "none",
        "split": "test",
        "max_faces": 9,
        "false_accept_rates": [0.1],
        "seed": 0,
    }
    values = dam.show(found, make_about(all_pairs={"low": low}))
    return values, render("chapters/dam.html.j2", values)


def cells(table: Table, score: str) -> tuple[str, ...]:
    return next(row for row in table.rows if row[1] == score)


def test_the_whole_chapter(tmp_path: Path) -> None:
    write_dam(tmp_path, whole=True)
    values, page = shown(tmp_path)
    (network,) = values["networks"]
    assert network["scores"].columns == ("protocol", "score", "accuracy", "TAR@FAR 0.01")  # 360 impostors tell no more
    assert [row[1] for row in network["scores"].rows] == [
        "cosine", "DAM-R (dam)", "DAM-L (dam)", "DAM-R (dam_weights)", "DAM-L (dam_weights)", "z-norm (cohort)"
    ]  # fmt: skip
    evidence = dam.read(tmp_path).evidence  # type: ignore[union-attr]
    figures = evidence.figures("made", "dam:r", "TAR@FAR 0.01")
    low, high = np.percentile(figures[1:], [2.5, 97.5])
    assert cells(network["scores"], "DAM-R (dam)")[2:] == (
        "90.00",
        f"{100 * figures[0]:.2f} [{100 * low:.1f}, {100 * high:.1f}]",
    )
    assert (1, 3) in network["scores"].best
    assert [row[1] for row in network["kinds"].rows] == ["cosine", "real (real)", "class_weights (weights)"]
    assert network["groups"].columns == ("protocol", "score", "old", "young", "mean")
    assert values["all_pairs"]["low"][0].rows[1] == ("DAM-R", "62.50", "40 + 5,000")
    assert values["all_pairs"]["low"][0].best == {(1, 1)}
    assert values["likeness"].rows[0] == ("real", "0.250")
    assert values["anchors"].rows[0][3:] == ("10", "1", "30", "12.346", "1.000", "0.500")
    assert page.count("<img") == 5  # people, cosines, sweep, own class, all pairs
    assert "p1" not in page  # no names


def test_absent_parts_are_said(tmp_path: Path) -> None:
    write_dam(tmp_path, whole=False)
    for name in ("dam_weights", "sweep"):
        (tmp_path / "scores" / f"{name}.parquet").unlink()
    _, page = shown(tmp_path)
    for words in (
        "do not say how like", "one kind of anchors", "No pairs are grouped", "Too few people have 8 images",
        "without cosines.parquet", "nothing is swept", "No anchors are class weights",
    ):  # fmt: skip
        assert words in page
    assert "<img" not in page


def test_group_accuracies_are_those_at_one_threshold(tmp_path: Path) -> None:
    write_dam(tmp_path, whole=True)
    table = read_scores(tmp_path / "verify" / "scores.parquet")
    found = dam.dam_tables.group_table(table, {"cosine": "cosine:net"})
    assert found is not None
    scores, genuine = table["cosine:net"].to_numpy(), table["genuine"].to_numpy()
    groups = np.array(table["group"].to_pylist())
    rights = [(scores >= cut) == genuine for cut in [*scores, 9.0]]
    best = max(rights, key=np.mean)
    old, young = (100 * best[groups == name].mean() for name in ("old", "young"))
    assert [float(cell) for cell in found.rows[0][2:]] == pytest.approx(
        [old, young, (old + young) / 2], abs=0.3
    )  # ties of thresholds
    assert dam.dam_tables.group_table(table.slice(0, 0), {"cosine": "cosine:net"}) is None


def test_without_a_score_of_dam_there_is_no_chapter(tmp_path: Path) -> None:
    write_dam(tmp_path, whole=False)
    for name in ("dam", "dam_weights"):
        (tmp_path / "scores" / f"{name}.parquet").unlink()
    assert dam.read(tmp_path) is None


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
