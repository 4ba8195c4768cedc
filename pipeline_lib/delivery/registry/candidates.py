"""Which score is registered: the best on the validation pairs of those that can be served."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.verifier.encoder import network_names
from pipeline_lib.matching.scores.shared.columns import open_entry
from pipeline_lib.matching.scores.shared.faces import Needs
from pipeline_lib.matching.scores.shared.reads import reads_below
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.scores.shared.table import read_entries
from pipeline_lib.networks.backbones.shared.checkpoints import DESCRIPTION

NETWORK_FOLDERS = ("networks", "networks_over")
REGION_FOLDER = "region_networks"


def servable(data: Path) -> dict[str, Scorer]:
    """The scorers of all columns below data/scores that a model can be made of, by column.

    Pixels are the floor that every network must beat, and a single region is a part of a face: neither is a model.

    Raises:
        ParamsError, DataError, CheckpointError: see read_entries, open_entry.
    """
    opened = {
        column: scorer
        for name, entry in read_entries(data / "scores").items()
        for column, scorer in open_entry(name, entry, reads_below(data, entry)).items()
    }
    return {column: scorer for column, scorer in opened.items() if scorer.in_headline and network_names(scorer.needs)}


def best_column(
    candidates: Literal["auto"] | Sequence[str], figures: Mapping[str, Mapping[str, Any]], scorers: Mapping[str, Scorer]
) -> str | None:
    """The candidate with the highest AUC, the first in the order of `figures` among equals; None where nothing is scored.

    Args:
        candidates: params' register.candidates.
        figures: of the validation protocol, by column (data/verify/metrics.json).
        scorers: from servable.

    Raises:
        DataError: a candidate that is named has no figures, or cannot be served.
    """
    possible = [column for column in figures if column in scorers]
    if figures and candidates != "auto":
        missing = [name for name in candidates if name not in possible]
        if missing:
            raise DataError(
                "A candidate is no score that can be registered.",
                got=", ".join(missing),
                allowed=", ".join(possible),
                where="params.yaml, register.candidates",
            )
        possible = [column for column in possible if column in candidates]
    return max(possible, key=lambda column: float(figures[column]["auc"]), default=None)


def network_folders(data: Path, needs: Needs) -> dict[str, Path]:
    """The folder of each network, or region, that a scorer needs.

    Raises:
        DataError: one is missing.
    """
    if needs.positions:
        tried = {name: [*(data / REGION_FOLDER).glob(f"*/{name}/{DESCRIPTION}")] for name in needs.positions}
    else:
        tried = {
            name: [path for kind in NETWORK_FOLDERS if (path := data / kind / name / DESCRIPTION).is_file()]
            for name in network_names(needs)
        }
    missing = [name for name, found in tried.items() if not found]
    if missing:
        raise DataError("Networks of a score are missing; run their training stages.", got=missing, where=data)
    return {name: found[0].parent for name, found in tried.items()}
