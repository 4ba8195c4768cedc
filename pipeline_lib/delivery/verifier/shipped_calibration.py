"""What the package knows of dlib's recogniser: threshold and probability of its cosine, and what they rest on."""

from pathlib import Path
from typing import Any

import torch

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.verifier.files import IMPOSTORS, Settings, read_calibration, read_settings
from pipeline_lib.matching.verification.calibration import Calibration
from pipeline_lib.matching.verification.impostors import Impostors, read_impostors
from pipeline_lib.networks.backbones.dlib_resnet import Spec, published_weights
from pipeline_lib.networks.backbones.shared.checkpoints import load_network

FOLDER = Path(__file__).parent / "shipped"
PROVENANCE = "provenance.json"


def settings() -> Settings:
    """How two photographs became a score."""
    return read_settings(FOLDER)


def calibration() -> Calibration:
    """Of the column that settings() names."""
    return read_calibration(FOLDER, settings().score)


def impostors() -> Impostors | None:
    """Of that column."""
    return read_impostors(FOLDER / IMPOSTORS)


def is_published(folder: Path) -> bool:
    """Whether the network in `folder` is dlib's, weight by weight: not one trained further, or another.

    Raises:
        CheckpointError: the folder's files are missing or damaged.
    """
    network = load_network(folder)
    if not isinstance(network.spec, Spec):
        return False
    state = network.state_dict()
    return all(torch.equal(state[name], value) for name, value in published_weights().items())


def basis() -> str:
    """What threshold and probability rest on, and how often they were wrong there; begins with these words."""
    made: dict[str, Any] = read_json(FOLDER / PROVENANCE)
    pairs = ", ".join(f"{num:,} of {name}" for name, num in made["num_pairs_of_two_people"].items())
    at = made["at_threshold"]
    return (
        f"threshold and probability rest on pairs of two people ({pairs}) and as many of one: "
        f"of the former {at['false_matches']:,} were above {at['threshold']:.3f} ({at['fmr']:.2%}, {at['fmr_low']:.2%} to "
        f"{at['fmr_high']:.2%}), of the latter {at['false_non_matches']:,} were not."
    )
