"""Face-ViT through its stages: trained in two processes, embedded with its cells, scored."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from stage_checkout import HEAD, TINY, copied_checkout, python, train

from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.embeddings.store import read_embeddings

ENTRY = {"kind": "face_vit", "over": ["one"], "depth": 1, "heads": 2, "dim": 8, "epochs": 2}
PAIRS = ("--aligned", "data/align", "--pairs", "data/ingest/pairs.parquet")


@pytest.mark.slow
def test_pairs_go_through_their_stages(tmp_path: Path, repository: Path) -> None:
    over = {
        "h2l": {**ENTRY, "embedding_dim": 8, "head": HEAD},
        "h2": {**ENTRY, "output": "cls", "head": {"kind": "none"}},
    }
    scores = {"h2l": {"kind": "face_vit", "of": "embed/h2l", "with": "networks_over/h2l"}}
    sections = {"networks": {"one": {**TINY, "head": HEAD, "epochs": 1}}, "networks_over": over, "scores": scores}
    checkout = copied_checkout(tmp_path, repository, processes=2, **sections)
    spec = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8)
    save_network(checkout / "data" / "networks" / "one", build_network(spec, seed=1))
    for name in over:
        done = train(checkout, name, "train_over", "--frozen", "data/networks")
        assert done.returncode == 0, done.stderr
        metrics = json.loads((checkout / "data" / "train_over" / name / "metrics.json").read_text())
        assert (metrics["epochs"], metrics["num_alone"]) == (2, 0)
        assert 0 <= metrics["val_auc"] <= 1
    words = ("--network", "data/networks_over/h2l", *PAIRS, "--out", "data/embed/h2l")
    done = python(checkout, "-m", "stages.embed", *words)
    assert done.returncode == 0, done.stderr
    embedded = read_embeddings(checkout / "data" / "embed" / "h2l", with_patches=True)
    assert embedded.vectors.shape == (4, 8)
    assert embedded.patches.shape[:2] == (4, 49)
    words = ("--score", "h2l", "--of", "data/embed/h2l", "--with", "data/networks_over/h2l", *PAIRS)
    done = python(checkout, "-m", "stages.score", *words, "--out", "data/scores/h2l.parquet")
    assert done.returncode == 0, done.stderr
    column = pq.read_table(checkout / "data" / "scores" / "h2l.parquet")["h2l"].to_numpy()
    assert len(np.unique(column)) == 4
