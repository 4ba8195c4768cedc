"""A verifier with a tiny random rrfnet, its files, and a registered model of it."""

import json
from pathlib import Path

import torch

from pipeline_lib.delivery.registry.package import log_verifier
from pipeline_lib.delivery.registry.promote import Merit, Registered, register_version
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.verifier import CALIBRATION, NETWORK, SETTINGS, Settings
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.tracking.stage_run import stage_run

SCORE = "cosine:tiny"
TINY = Settings(
    score=SCORE,
    detector="dlib",
    min_score=0.0,
    several_faces="reject",
    min_face_px=40,
    max_pixels=4_000_000,
    mirror=True,
)
THRESHOLD = 0.3


def write_files(folder: Path) -> dict[str, Path]:
    """Network, calibration and settings as the model's artifacts hold them."""
    torch.manual_seed(0)
    network = build_network(NetworkSpec("rrfnet", (1, 1, 1, 1), 0.125, 16, 56, "cross5"))
    save_network(folder / "tiny", network)
    fitted = {"slope": 10.0, "intercept": -3.0, "protocol": "val", "num_pairs": 10, "auc": 0.9, "accuracy": 0.8}
    (folder / "calibration.json").write_text(json.dumps({SCORE: {"threshold": THRESHOLD, **fitted}}))
    (folder / "settings.json").write_text(json.dumps(TINY.__dict__))
    return {
        NETWORK: folder / "tiny",
        CALIBRATION: folder / "calibration.json",
        SETTINGS: folder / "settings.json",
    }


def register_tiny(folder: Path, auc: float = 0.9) -> Registered:
    """Log and register it in the working directory's store; the model's copy is in `folder`/model."""
    files = write_files(folder)
    with stage_run("register", {}, {}) as run:
        uri = log_verifier(
            run,
            "face-verifier",
            network=files[NETWORK],
            calibration=files[CALIBRATION],
            settings=TINY,
            detector_weights=None,
            example=example_photographs(),
            out=folder / "model",
        )
        return register_version(run.client, "face-verifier", uri, run.run_id, Merit(auc, "d" * 64), {"score": SCORE})
