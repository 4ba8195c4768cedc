"""Which model answers: its name, version and date, and what it was trained and calibrated on."""

from pathlib import Path

import yaml

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.kinds import checked
from pipeline_lib.params.section import Section

ABOUT = "about.json"
REGISTERED = "registered_model_meta"  # MLflow writes it beside a registered model's MLmodel when it fetches the model


class About(Section):
    """A model's provenance, in words for who must answer for what it says.

    `version` is the registry's, empty of a folder that no registry gave. `made` is a date, UTC. `commit` is git's, of the
    rebuild; may be empty.
    """

    name: str
    version: str = ""
    made: str
    networks: str
    trained_on: str
    calibrated_on: str
    commit: str = ""


def write_about(folder: Path, about: About) -> None:
    """Write about.json; the version is the registry's to give, and is not kept."""
    write_json(folder / ABOUT, about.model_copy(update={"version": ""}).model_dump())


def read_about(folder: Path) -> About | None:
    """What the folder of a verifier says, with the version under which MLflow fetched it; None of a model of earlier versions.

    Raises:
        DataError: about.json has other keys.
    """
    path = folder / ABOUT
    if not path.is_file():
        return None
    try:
        about = checked(About, read_json(path), where=path)
    except ParamsError as error:
        raise DataError("What a model says of itself has other keys.", got=error, where=path) from error
    fetched = next((parent / REGISTERED for parent in folder.parents[:2] if (parent / REGISTERED).is_file()), None)
    if fetched is None:
        return about
    named = yaml.safe_load(fetched.read_text(encoding="utf-8"))
    if named["model_name"] is None:  # of a model that is not registered
        return about
    return about.model_copy(update={"name": str(named["model_name"]), "version": str(named["model_version"])})
