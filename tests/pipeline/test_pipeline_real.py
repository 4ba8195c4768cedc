"""The path of conf/data/cfp_lfw.yaml on real photographs, at smoke size: CFP for training, LFW and CFP for testing."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from checkout import Checkout

from pipeline_lib.data.sources.shared.records import normalise_name

pytestmark = [pytest.mark.slow, pytest.mark.faces, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def built(repository: Path, faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `make repro DATA=cfp_lfw SCALE=smoke`'s command has run."""
    checkout = Checkout(repository, tmp_path_factory.mktemp("real") / "checkout", FACES_DIR=str(faces_dir.resolve()))
    checkout.run("dvc", "exp", "run", "--set-param", "data=cfp_lfw", "--set-param", "scale=smoke")
    return checkout


def test_no_training_identity_is_named_in_lfw(built: Checkout, faces_dir: Path) -> None:
    names = {normalise_name(line.split("\t")[0]) for line in (faces_dir / "lfw/lfw-names.txt").read_text().splitlines()}
    assert len(names) > 5000
    manifest = pq.read_table(built.folder / "data/ingest/manifest.parquet").to_pylist()
    trained = {row["identity"] for row in manifest if row["split"] in ("train", "val")}
    assert trained
    assert not trained & names


def test_imported_network_verifies_lfw(built: Checkout) -> None:
    """Two folds resolve 1/1200; 97.5 % leaves five standard errors (0.33 %) below the 98.9 % of all ten folds."""
    metrics = json.loads((built.folder / "data/verify/metrics.json").read_text())
    assert metrics["lfw"]["cosine:mobilefacenet"]["num_genuine"] == 600
    assert metrics["lfw"]["cosine:mobilefacenet"]["accuracy_mean"] > 0.975
    assert {"lfw", "cfp_ff", "cfp_fp", "val"} <= set(metrics)
    assert metrics["cfp_fp"]["cosine:mobilefacenet"]["auc"] > 0.8


def test_nearly_every_photograph_was_aligned(built: Checkout) -> None:
    aligned = len(
        set(pq.read_table(built.folder / "data/align/index.parquet")["image_id"].to_pylist())
    )  # a row a member
    rejected = pq.read_table(built.folder / "data/align/rejects.parquet").num_rows
    assert aligned + rejected == pq.read_table(built.folder / "data/ingest/manifest.parquet").num_rows
    assert rejected / aligned < 0.05
