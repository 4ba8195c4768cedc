"""Stage all_pairs: a split's faces by cosine, DAM-R and DAM-L; and what is refused."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import roc_curve, tar_at_far
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE, read_anchors, write_anchors
from pipeline_lib.matching.scores.shared.faces import Faces
from stages import all_pairs as stage
from tests.matching.scores.made import NUM, opened, write_data, write_vectors

ENTRY = {
    "of": "embed/net", "with": "anchors/real", "split": "test", "max_faces": 100, "false_accept_rates": [0.2, 0.05, 0.001],
    "seed": 0,
}  # fmt: skip


class Recorder:
    """What the stage logs."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.log_metrics = self.metrics.update


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_data(tmp_path / "data")


def run(data: Path, monkeypatch: pytest.MonkeyPatch, **changed: object) -> tuple[dict[str, Any], dict[str, float]]:
    entry, recorder = {**ENTRY, **changed}, Recorder()
    Path("params.yaml").write_text(yaml.safe_dump({"all_pairs": {"low": entry}}))

    @contextmanager
    def recorded(name: str, params: object, inputs: object) -> Iterator[Recorder]:
        assert name == "all_pairs@low"
        yield recorder

    monkeypatch.setattr(stage, "stage_run", recorded)
    stage.main("low", data / str(entry["of"]), data / str(entry["with"]), data / "all_pairs" / "low")
    return json.loads((data / "all_pairs" / "low" / "metrics.json").read_text()), recorder.metrics


def test_figures_are_those_of_the_scores_of_every_pair(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(NUM, 6)).astype(np.float32)
    write_vectors(data / "embed/net", vectors)
    found, logged = run(data, monkeypatch)
    assert set(found) == {"cosine", "dam_r", "dam_l"}
    rows, columns = np.triu_indices(NUM, 1)
    genuine = rows // 2 == columns // 2
    for column, name in (("dam:r", "dam_r"), ("dam:l", "dam_l")):
        scorer = opened(data, "dam")[column]
        roc = roc_curve(scorer.score(Faces(vectors=vectors[rows]), Faces(vectors=vectors[columns])), genuine)
        assert found[name] == {
            "num_genuine": 4, "num_impostor": 24, "tar@0.2": tar_at_far(roc, 0.2), "tar@0.05": tar_at_far(roc, 0.05)
        }  # fmt: skip
        assert logged[f"{name}/tar_at_0.05"] == found[name]["tar@0.05"]
    lines = (data / "all_pairs" / "low" / "roc.csv").read_text().splitlines()
    assert lines[0] == "score,far,tar"
    assert {line.partition(",")[0] for line in lines[1:]} == set(found)


def test_without_anchors_the_cosine_alone_and_some_faces_of_many(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "none").touch()
    found, _ = run(data, monkeypatch, **{"with": "none", "of": "embed/other"}, max_faces=7)
    assert list(found) == ["cosine"]
    assert found["cosine"]["num_genuine"] + found["cosine"]["num_impostor"] == 21


def test_refusals(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="of another network"):
        run(data, monkeypatch, of="embed/other")
    with pytest.raises(DataError, match="two faces of a person"):
        run(data, monkeypatch, split="val")
    path = data / "anchors/real" / ANCHORS_FILE
    there = read_anchors(path)
    write_anchors(path, replace(there, identities=["id2", *there.identities[1:]]))
    with pytest.raises(DataError, match=r"share identities[\s\S]*id2"):
        run(data, monkeypatch)
