"""What is registered, and with which calibration: the validation pairs' or, where these are too few, the package's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc

from pipeline_lib.core.files import read_json
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.registry.candidates import best_column, network_folders, servable
from pipeline_lib.delivery.registry.floor import Lead, lead_over_pixels
from pipeline_lib.delivery.registry.impostors import impostors_of
from pipeline_lib.delivery.verifier import shipped_calibration as shipped
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.scores.shared.table import read_scores
from pipeline_lib.matching.verification.calibration import Calibration, read_calibrations
from pipeline_lib.matching.verification.impostors import Impostors

# Of each sort, and in them. Below that a curve fitted on drawn pairs of LFW's people was wrong more often on others than the
# package's is (docs/methods.md).
MIN_PAIRS, MIN_PEOPLE = 30, 20


@dataclass(frozen=True)
class Choice:
    """The score that is registered.

    Attributes:
        column: its name in the score table.
        scorer: of the column.
        networks: folder of each network, or region, that the scorer needs.
        figures: of the column on the validation pairs.
        calibration: its own, or the package's.
        impostors: likewise; None where the validation pairs have photographs of fewer than two people.
        lead: over the floor.
        note: that and why the calibration is the package's; empty where it is its own.
    """

    column: str
    scorer: Scorer
    networks: Mapping[str, Path]
    figures: Mapping[str, Any]
    calibration: Calibration
    impostors: Impostors | None
    lead: Lead
    note: str


def choose(candidates: Literal["auto"] | Sequence[str], data: Path, pairs: PairSet) -> Choice | None:
    """The best candidate on the validation pairs; None where nothing that can be served was scored on such.

    Where these pairs are too few to choose and calibrate on (too_few), and the score that the package has a calibration of is
    a candidate whose network is the published one, it is that score with that calibration.

    Args:
        candidates: params' register.candidates.
        data: the rebuild's folder.
        pairs: from read_pairs.

    Raises:
        DataError: see best_column, lead_over_pixels; a file is missing or damaged.
    """
    figures = read_json(data / "verify" / "metrics.json").get(VALIDATION, {})
    scorers = servable(data) if figures else {}
    column = best_column(candidates, figures, scorers)
    if column is None:
        return None
    packaged = shipped.settings().score
    words = too_few(pairs)
    if words and packaged in figures and packaged in scorers and (candidates == "auto" or packaged in candidates):
        folders = network_folders(data, scorers[packaged].needs)
        if all(map(shipped.is_published, folders.values())):
            return _packaged(packaged, scorers[packaged], folders, figures[packaged], words)
    return Choice(
        column,
        scorers[column],
        network_folders(data, scorers[column].needs),
        figures[column],
        read_calibrations(data / "verify" / "calibration.json")[column],
        impostors_of(column, data, [VALIDATION]),
        lead_over_pixels(read_scores(data / "verify" / "scores.parquet"), column, pairs),
        "",
    )


def too_few(pairs: PairSet) -> str:
    """How many validation pairs there are and how many it takes to choose and calibrate on; empty where there are as many."""
    rows = pairs.table.filter(pc.equal(pairs.table["protocol"], VALIDATION))
    people = {name for side in ("image_a", "image_b") for name in pairs.owners(rows[side].to_pylist())}
    num_genuine = pc.sum(rows["genuine"]).as_py() or 0
    num_impostor = rows.num_rows - num_genuine
    if min(num_genuine, num_impostor) >= MIN_PAIRS and len(people) >= MIN_PEOPLE:
        return ""
    there = f"{num_genuine} of one person and {num_impostor} of two, of {len(people)} people"
    return f"{there}; it takes {MIN_PAIRS} of each, of {MIN_PEOPLE} people"


def _packaged(
    column: str, scorer: Scorer, networks: Mapping[str, Path], figures: Mapping[str, Any], words: str
) -> Choice:
    calibration = shipped.calibration()
    lead = Lead(True, f"on the package's pairs ({calibration.protocol}) {column} has an AUC of {calibration.auc:.3f}")
    note = (
        f"The validation pairs here are too few to calibrate on ({words}), so this model has the package's calibration, fitted "
        f"with the detector {shipped.settings().align.detector}. Its {shipped.basis()} On other photographs they may be off: "
        "with more people `make repro` calibrates on your own (docs/your-data.md)."
    )
    return Choice(column, scorer, networks, figures, calibration, shipped.impostors(), lead, note)
