"""A verifier on disk: settings, calibration, impostors, scorer, networks, where the detector has some, its weights, and what
the model says of itself and knows of the photographs that it was calibrated on (about, domain)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.kinds import checked
from pipeline_lib.delivery.verifier.about import About, write_about
from pipeline_lib.delivery.verifier.domain import Domain, write_domain
from pipeline_lib.matching.scores.shared.saved import save_scorer
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.verification.calibration import Calibration, read_calibrations, write_calibrations
from pipeline_lib.matching.verification.impostors import Impostors, write_impostors
from pipeline_lib.networks.backbones.shared.checkpoints import DESCRIPTION, WEIGHTS
from pipeline_lib.params.align import Align
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.section import NO_FILE, Positive, Section

SETTINGS, CALIBRATION, IMPOSTORS, SCORER, NETWORKS, DETECTOR = (
    "settings.json",
    "calibration.json",
    "impostors.json",
    "scorer",
    "networks",
    "detector",
)


class Settings(Section):
    """How two photographs become a score, as in the rebuild that calibrated it.

    `score` is the column. `align.weights` is data/none: the detector's weights lie beside the settings. Photographs of more
    than `max_pixels` are refused. `note`: what else who asks must know; empty where threshold and probability are of the
    rebuild's own validation pairs.
    """

    score: str
    align: Align
    embed: Embed
    max_pixels: Positive
    note: str = ""


def write_verifier(
    folder: Path,
    settings: Settings,
    calibration: Calibration,
    impostors: Impostors | None,
    scorer: Scorer,
    networks: Mapping[str, Path],
    detector_weights: Path | None,
    about: About | None = None,
    domain: Domain | None = None,
) -> None:
    """Write what Verifier.load reads.

    Args:
        folder: made here.
        settings: its align.weights is not kept.
        calibration: of the column settings.score.
        impostors: of that column; without them the verifier identifies nobody.
        scorer: of that column.
        networks: folder (network.safetensors and network.json) of each network, or region, that the scorer needs.
        detector_weights: None for a detector that a package brings.
        about: what the model says of itself.
        domain: of the photographs of its calibration; without one no photograph is said to be unlike them.

    Raises:
        DataError: the scorer cannot score photographs.
    """
    folder.mkdir(parents=True)
    align = settings.align.model_copy(update={"weights": NO_FILE})
    write_json(folder / SETTINGS, settings.model_copy(update={"align": align}).model_dump(mode="json"))
    write_calibrations(folder / CALIBRATION, {settings.score: calibration})
    if impostors is not None:
        write_impostors(folder / IMPOSTORS, impostors)
    if about is not None:
        write_about(folder, about)
    if domain is not None:
        write_domain(folder, domain)
    save_scorer(folder / SCORER, scorer)
    for name, path in networks.items():
        (folder / NETWORKS / name).mkdir(parents=True)
        for file in (WEIGHTS, DESCRIPTION):  # and not the class weights, which name the training people
            shutil.copy(path / file, folder / NETWORKS / name)
    if detector_weights is not None:
        (folder / DETECTOR).mkdir()
        shutil.copy(detector_weights, folder / DETECTOR)


def read_settings(folder: Path) -> Settings:
    """Read settings.json; raises DataError where a key is unknown or missing, or a value not possible."""
    path = folder / SETTINGS
    try:
        return checked(Settings, read_json(path), where=path)
    except ParamsError as error:
        raise DataError("The verifier's settings have other keys.", got=error, where=path) from error


def read_calibration(folder: Path, score: str) -> Calibration:
    """The calibration of `score`; raises DataError where there is none."""
    path = folder / CALIBRATION
    found = read_calibrations(path)
    if score not in found:
        raise DataError("The calibration lacks the verifier's score.", got=", ".join(found), allowed=score, where=path)
    return found[score]


def detector_file(folder: Path) -> Path | None:
    """The detector's weights, where the verifier brings some."""
    return next((folder / DETECTOR).iterdir(), None) if (folder / DETECTOR).is_dir() else None
