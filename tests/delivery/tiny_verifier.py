"""Verifiers with tiny networks and every sort of score, their files, and registered models of them."""

from pathlib import Path

import numpy as np
from tiny_networks import POSITIONS, tiny_network, tiny_region_network

from pipeline_lib.core.cosine import unit
from pipeline_lib.delivery.registry.floor import Lead
from pipeline_lib.delivery.registry.package import log_verifier
from pipeline_lib.delivery.registry.promote import Merit, Registered, register_version
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.files import Settings, write_verifier
from pipeline_lib.matching.scores.cosine import Cosine
from pipeline_lib.matching.scores.cosine_centred import CentredCosine
from pipeline_lib.matching.scores.dam import DamR
from pipeline_lib.matching.scores.regions import CombinedRegions
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.verification.calibration import Calibration
from pipeline_lib.matching.verification.impostors import Impostors, impostor_scores
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.params.align import Align
from pipeline_lib.params.embed import Embed
from pipeline_lib.tracking.stage_run import stage_run

THRESHOLD = 0.3
TAIL = impostor_scores([0.45 - 0.1 * rank for rank in range(10)])
CALIBRATION = Calibration(THRESHOLD, 10.0, -3.0, "val", 10, 0.9, 0.8, 0.5, "even odds", TAIL)
IMPOSTORS = Impostors(1000, (0, 10, 500), (0.9, 0.5, -0.2), 50, 50)
ALIGN = Align(detector="dlib", min_score=0.0, min_face_px=40, several_faces="reject", max_reject_share=0.0)
RNG = np.random.default_rng(3)
SCORERS: dict[str, Scorer] = {
    "cosine:rrfnet": Cosine("rrfnet"),
    "cosine:bagnet": Cosine("bagnet"),
    "cosine:iresnet": Cosine("iresnet"),
    "cosine_centred:rrfnet": CentredCosine("rrfnet", RNG.normal(size=16).astype(np.float32)),
    "dam:r": DamR(network="rrfnet", scale=1.0, form="sum", anchors=unit(RNG.normal(size=(12, 16))), num_neighbours=3),
    "dam:iresnet": DamR(
        network="iresnet", scale=1.0, form="sum", anchors=unit(RNG.normal(size=(12, 16))), num_neighbours=3
    ),
    "regions:56": CombinedRegions(POSITIONS, np.array([1.5, -0.25])),
}


def settings(score: str) -> Settings:
    """Of a tiny verifier."""
    return Settings(score=score, align=ALIGN, embed=Embed(mirror=True), max_pixels=4_000_000)


def write_tiny(folder: Path, score: str = "cosine:rrfnet") -> Path:
    """The files of a tiny verifier; returns their folder."""
    scorer = SCORERS[score]
    if scorer.needs.positions:
        networks = {name: tiny_region_network(seed) for seed, name in enumerate(scorer.needs.positions)}
    else:
        networks = {str(scorer.needs.network): tiny_network(str(scorer.needs.network))}
    for name, network in networks.items():
        save_network(folder / "trained" / name, network)
    paths = {name: folder / "trained" / name for name in networks}
    write_verifier(folder / "verifier", settings(score), CALIBRATION, IMPOSTORS, scorer, paths, None)
    return folder / "verifier"


def register_tiny(folder: Path, auc: float = 0.9, score: str = "cosine:rrfnet") -> Registered:
    """Log and register it in the working directory's store; the model's copy is in `folder`/model."""
    verifier = write_tiny(folder / f"auc {auc}", score)
    with stage_run("register", {}, {}) as run:
        uri = log_verifier(run, "face-verifier", verifier, example=example_photographs(), out=folder / "model")
        lead, tags = Lead(True, "it beats raw pixels"), {"score": score}
        return register_version(run.client, "face-verifier", uri, run.run_id, Merit(auc, "d" * 64), lead, tags)
