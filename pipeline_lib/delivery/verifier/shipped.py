"""The verifier that the package brings, for who has built none: dlib's recogniser and what it gave on LFW's and CFP's pairs."""

from pathlib import Path
from typing import Any

from pipeline_lib.core.files import read_json
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.delivery.verifier.encoder import Encoder
from pipeline_lib.delivery.verifier.files import SCORER, read_calibration, read_settings
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.matching.scores.shared.saved import load_scorer
from pipeline_lib.networks.backbones.dlib_resnet import Spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network

FOLDER = Path(__file__).parent / "shipped"
PROVENANCE = "provenance.json"
NAME = "dlib_resnet, as the package brings it"


def load_shipped() -> Verifier:
    """The verifier of FOLDER, whose network is read from the package that has dlib's weights.

    Raises:
        ParamsError: that package, or dlib, is not installed.
        CheckpointError: its file is another one.
    """
    settings, scorer = read_settings(FOLDER), load_scorer(FOLDER / SCORER)
    align, name = settings.align, scorer.needs.network
    assert name is not None
    encoder = Encoder(scorer.needs, {name: initial_network(Spec(), 0, None).eval()}, settings.embed.mirror)
    detector = make_detector(align.detector, None, align.min_score, align.min_face_px)
    return Verifier(scorer, encoder, detector, read_calibration(FOLDER, settings.score), settings)


def ask_shipped(a: Path, b: Path) -> dict[str, Any]:
    """Its answer on two photographs' files, explained, as registry.ask.ask has a registered model's, and a `note` on it."""
    verifier = load_shipped()
    (answer,) = verifier.compare([(a, b)], explain=True)
    about = {"score": verifier.settings.score, "is_cosine": verifier.scorer.is_cosine, "note": note()}
    return {**vars(answer), "contributions": None, **about}


def note() -> str:
    """What answers, what its threshold and probability rest on, and how to have one's own."""
    made: dict[str, Any] = read_json(FOLDER / PROVENANCE)
    pairs = ", ".join(f"{num:,} of {name}" for name, num in made["num_pairs_of_two_people"].items())
    at = made["at_threshold"]
    return (
        "No model is registered here, so the package's own verifier answers. "
        f"Its threshold and probability rest on pairs of two people ({pairs}) and as many of one: "
        f"of the former {at['false_matches']:,} were above the threshold ({at['fmr']:.2%}, {at['fmr_low']:.2%} to "
        f"{at['fmr_high']:.2%}), of the latter {at['false_non_matches']:,} were not. On other photographs they may be off: "
        "`make repro DATA=image_folder` builds and calibrates a verifier on your own (docs/your-data.md)."
    )
