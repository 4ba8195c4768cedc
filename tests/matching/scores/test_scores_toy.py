"""One file and one entry of params add a score, and a protocol; nothing else knows of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.matching.scores.shared.table import ScoreColumn, read_entries, read_scores, score_columns
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from tests.matching.scores.made import PAIR_ROWS, write_data

SCORE = '''
"""A power of the cosine."""

from pipeline_lib.core.cosine import cosine
from pipeline_lib.matching.scores.shared.faces import Needs, given
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings


class Settings(ScoreSettings):
    power: int = 1


class Power(Scorer):
    def __init__(self, network, power):
        self.needs, self.power = Needs(network=network), power

    def score(self, a, b):
        return cosine(given(a.vectors), given(b.vectors)) ** self.power

    def state(self):
        return {"network": self.needs.network, "power": self.power}


def open_columns(settings, reads):
    return {"": Power(reads.one_network(), settings.power)}


def restore(state):
    return Power(**state)
'''
PROTOCOL = '''
"""The mean score of the genuine pairs of each group, and a constant."""

import pyarrow.compute as pc

from pipeline_lib.params.section import Section


class Settings(Section):
    constant: float


def evaluate(values, pairs, rates, settings, is_cosine):
    table = pairs.append_column("value", [values]).filter(pairs["genuine"])
    means = {f"mean.{name}": values_of(table, name) for name in pc.unique(table["group"]).to_pylist()}
    return {**means, "constant": settings.constant}


def values_of(table, group):
    return pc.mean(table.filter(pc.equal(table["group"], group))["value"]).as_py()
'''


class Copy:
    """A copy of the code, with made data and the demo's params, in which stages run as commands."""

    def __init__(self, repository: Path, folder: Path) -> None:
        for name in ("pipeline_lib", "stages"):
            shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.folder, self.data = folder, write_data(folder / "data")
        (self.data / "none").touch()
        self.params = yaml.safe_load((repository / "params.yaml").read_text())

    def run(self, stage: str, **options: str) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))
        words = [word for key, value in options.items() for word in (f"--{key.rstrip('_')}", value)]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        environment.pop("MLFLOW_TRACKING_URI", None)
        command = [
            sys.executable,
            "-m",
            f"stages.{stage}",
            "--pairs",
            "data/ingest/pairs.parquet",
            "--aligned",
            "data/align",
        ]
        done = subprocess.run([*command, *words], cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Copy:
    return Copy(repository, tmp_path)


def test_a_toy_score(copy: Copy) -> None:
    (copy.folder / "pipeline_lib/matching/scores/toy.py").write_text(SCORE)
    copy.params["scores"] = {"mine": {"kind": "toy", "of": "embed/net", "with": "none", "power": 3}}
    copy.run("score", score="mine", of="data/embed/net", with_="data/none", out="data/scores/mine.parquet")
    assert read_entries(copy.data / "scores")["mine"].own == {"power": 3}
    copy.run(
        "verify",
        manifest="data/ingest/manifest.parquet",
        scores="data/scores",
        out="data/verify",
        headline="data/headline",
    )
    table = read_scores(copy.data / "verify/scores.parquet")
    assert score_columns(table) == {"mine": ScoreColumn("toy", is_cosine=False, in_headline=True)}
    vectors = read_embeddings(copy.data / "embed/net").vectors
    a, b = (vectors[[row[side] for row in PAIR_ROWS]] for side in (2, 3))
    assert table["mine"].to_pylist() == pytest.approx((cosine(a, b) ** 3).tolist(), abs=1e-6)  # float32
    assert read_json(copy.data / "verify/metrics.json")["lfw"]["mine"]["num_genuine"] == 2


def test_a_toy_protocol(copy: Copy) -> None:
    (copy.folder / "pipeline_lib/matching/verification/protocols/toy.py").write_text(PROTOCOL)
    path = copy.data / "ingest/pairs.parquet"
    rows = read_table(path, PAIRS).to_pylist()
    for row in rows:
        row["group"] = f"g{row['fold']}" if row["protocol"] == "lfw" else None
    write_table(path, table_from_rows(rows, PAIRS), PAIRS)
    copy.params["verify"]["protocols"] = {"lfw": {"kind": "toy", "constant": 7.5}}
    copy.run("score", score="cosine", of="data/embed", with_="data/none", out="data/scores/cosine.parquet")
    copy.run(
        "verify",
        manifest="data/ingest/manifest.parquet",
        scores="data/scores",
        out="data/verify",
        headline="data/headline",
    )
    vectors = read_embeddings(copy.data / "embed/net").vectors
    found = read_json(copy.data / "verify/metrics.json")["lfw"]["cosine:net"]
    assert found["constant"] == 7.5
    assert found["mean.g0"] == pytest.approx(float(cosine(vectors[0], vectors[1])), abs=1e-6)  # float32
    assert found["mean.g1"] == pytest.approx(float(cosine(vectors[4], vectors[5])), abs=1e-6)
