"""A rebuild's data folder as register finds it: rendered people, untrained networks of every sort, every score on them."""

from pathlib import Path
from typing import Any

import yaml
from tiny_networks import KEYS, POSITIONS, RESNET, UNTRAINED, tiny_network, tiny_region_network

from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from stages import (
    align,
    build_anchors,
    draw_region_pairs,
    embed,
    embed_regions,
    fit_region_weights,
    ingest,
    score,
    verify,
)

GROUP = "p56"
FIT = {
    "num_pairs": 20,
    "num_cross_validation_folds": 2,
    "strengths": [1.0],
    "num_bootstrap": 2,
    "seed": 1,
    "fit_on": ["train"],
    "non_negative": [False],
}
LID = {"hidden_dim": 8, "num_steps": 5, "batch_size": 4, "learning_rate": 0.001, "decay_steps": [3]}
DATA = Path("data")
PARAMS: dict[str, Any] = {
    "ingest": {
        "root": "data/raw", "sources": [{"kind": "synthetic", "path": "", "split": "by_identity"}], "val_share": 0.3,
        "test_share": 0.3, "pairs_per_fold": 8, "num_folds": 2, "max_identities": None, "max_folds": None,
        "max_pixels": 1_000_000, "max_reject_share": 0.5, "seed": 1,
    },
    "synthetic": {
        "num_identities": 16, "images_per_identity": 3, "size_px": 160, "two_faces_share": 0.0, "no_face_share": 0.0,
        "seed": 5,
    },
    "align": {
        "detector": "dlib", "min_score": 0.0, "min_face_px": 40, "several_faces": "largest",
        "max_reject_share": 0.5,
    },
    "networks": {name: {**keys, **UNTRAINED} for name, keys in KEYS.items()},
    "regions": {
        "network": {**RESNET, **UNTRAINED}, "margin_px": 5, "groups": {GROUP: list(POSITIONS)}, "weights": {"logistic": FIT},
    },
    "embed": {"mirror": True},
    "anchors": {"real": {"kind": "real", "of": "networks", "network": "rrfnet", "from": "data/none",
         "scale": 1.0, "num_neighbours": 2, "max_anchors": 50, "lid": LID, "seed": 1}},
    "scores": {
        "raw_pixel": {"kind": "raw_pixel", "of": "align", "with": "none"},
        "cosine": {"kind": "cosine", "of": "embed", "with": "none"},
        "cosine_centred": {"kind": "cosine_centred", "of": "embed", "with": "none"},
        "regions": {"kind": "regions", "of": "region_embeddings", "with": "region_weights/logistic"},
        "dam": {"kind": "dam", "of": "embed/rrfnet", "with": "anchors/real"},
    },
    "verify": {"decide": "even_odds", "false_accept_rates": [0.1]},
    "register": {"candidates": "auto", "model_name": "face-verifier"},
}  # fmt: skip


def write_params(**sections: Any) -> None:
    """params.yaml of the working directory, with some sections replaced."""
    Path("params.yaml").write_text(yaml.safe_dump({**PARAMS, **sections}))


def rebuild() -> None:
    """Everything before register, in the working directory, by the stages' own code; only training is left out."""
    write_params()
    Path("machine.yaml").write_text("{processes: 1, workers: 0}\n")
    (DATA / "raw").mkdir(parents=True)
    (DATA / "none").touch()
    ingest.main(root=DATA / "raw", out=DATA / "ingest")
    align.main(manifest=DATA / "ingest" / "manifest.parquet", out=DATA / "align")
    pairs = DATA / "ingest" / "pairs.parquet"
    for seed, name in enumerate(KEYS):
        save_network(DATA / "networks" / name, tiny_network(name, seed))
        embed.main(network=DATA / "networks" / name, aligned=DATA / "align", pairs=pairs, out=DATA / "embed" / name)
    for seed, name in enumerate(POSITIONS):
        save_network(DATA / "region_networks" / GROUP / name, tiny_region_network(seed))
    (DATA / "networks_over").mkdir()
    regions = DATA / "region_embeddings"
    drawn = DATA / "region_pairs" / "logistic.parquet"
    draw_region_pairs.main(weights="logistic", aligned=DATA / "align", out=drawn)
    embed_regions.main(
        networks=DATA / "region_networks" / GROUP,
        aligned=DATA / "align",
        pairs=pairs,
        training_pairs=drawn.parent,
        out=regions / GROUP,
    )
    fit_region_weights.main(weights="logistic", embedded=regions, pairs=drawn, out=DATA / "region_weights" / "logistic")
    build_anchors.main(
        anchors="real",
        network=DATA / "networks" / "rrfnet",
        aligned=DATA / "align",
        embedded=DATA / "embed" / "rrfnet",
        pairs=pairs,
        out=DATA / "anchors" / "real",
    )
    compute_scores()


def compute_scores() -> None:
    """Every entry of scores, and verify."""
    pairs = DATA / "ingest" / "pairs.parquet"
    for name, entry in PARAMS["scores"].items():
        folders = {"of": DATA / entry["of"], "with_": DATA / entry["with"], "aligned": DATA / "align"}
        score.main(score=name, pairs=pairs, out=DATA / "scores" / f"{name}.parquet", **folders)
    manifest = pairs.with_name("manifest.parquet")
    verify.main(pairs=pairs, aligned=DATA / "align", manifest=manifest, scores=DATA / "scores", out=DATA / "verify")
