"""The verifier that the package brings, for who has built none: dlib's recogniser and what it gave on LFW's and CFP's pairs."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.delivery.verifier.about import read_about
from pipeline_lib.delivery.verifier.answers import PICTURES, as_row
from pipeline_lib.delivery.verifier.domain import read_domain
from pipeline_lib.delivery.verifier.encoder import Encoder
from pipeline_lib.delivery.verifier.files import SCORER
from pipeline_lib.delivery.verifier.shipped_calibration import FOLDER, calibration, impostors, settings
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.matching.scores.shared.saved import load_scorer
from pipeline_lib.networks.backbones.dlib_resnet import Spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network

NAME = "dlib_resnet, as the package brings it"


def load_shipped() -> Verifier:
    """The verifier of FOLDER, whose network is read from the package that has dlib's weights.

    Raises:
        ParamsError: that package, or dlib, is not installed.
        CheckpointError: its file is another one.
    """
    own, scorer = settings().model_copy(update={"note": note()}), load_scorer(FOLDER / SCORER)
    align, name = own.align, scorer.needs.network
    assert name is not None
    encoder = Encoder(scorer.needs, {name: initial_network(Spec(), 0, None).eval()}, own.embed.mirror)
    largest_only = align.several_faces == "largest"
    detector = make_detector(align.detector, None, align.min_score, align.min_face_px, largest_only=largest_only)
    return Verifier(scorer, encoder, detector, calibration(), own, impostors(), read_about(FOLDER), read_domain(FOLDER))


def ask_shipped(a: Path, b: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Its answer on two photographs' files, explained, as registry.ask.ask has a registered model's, and a `note` on it.

    `params`: as of Verifier.compare.
    """
    verifier = load_shipped()
    (answer,) = verifier.compare([(a, b)], explain=True, **params)
    row = as_row(answer, explained=True)
    pictures = {name: None if (data := row[name]) is None else base64.b64encode(data).decode() for name in PICTURES}
    return {**row, **pictures}


def note() -> str:
    """What answers, and how to have one's own; how often it errs and on what, it says itself."""
    return (
        "No model is registered here, so the package's own verifier answers. On photographs unlike LFW's and CFP's its threshold "
        "and probability may be off: `make repro DATA=image_folder` builds and calibrates a verifier on your own "
        "(docs/your-data.md)."
    )
