"""Write what the package's own verifier is calibrated by, from a rebuild in which dlib_resnet scored LFW's and CFP's pairs.

    python -m pipeline_lib.delivery.registry.ship --data data --score cosine:dlib_resnet

For maintainers, after a rebuild of conf/data/cfp_lfw.yaml, whose detector is the one that strangers' photographs get; who
installs the package has the result.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from scipy.stats import binomtest

from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.files import write_json
from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.delivery.registry.candidates import servable
from pipeline_lib.delivery.registry.impostors import impostors_of
from pipeline_lib.delivery.registry.photographs import domain_of
from pipeline_lib.delivery.verifier.about import About, write_about
from pipeline_lib.delivery.verifier.domain import write_domain
from pipeline_lib.delivery.verifier.files import CALIBRATION, IMPOSTORS, SCORER, SETTINGS, Settings
from pipeline_lib.delivery.verifier.shipped_calibration import FOLDER, PROVENANCE
from pipeline_lib.matching.scores.shared.saved import save_scorer
from pipeline_lib.matching.scores.shared.table import read_scores
from pipeline_lib.matching.verification.calibration import fit_calibration, write_calibrations
from pipeline_lib.matching.verification.impostors import write_impostors
from pipeline_lib.networks.backbones.dlib_resnet import FILE, SHA256
from pipeline_lib.params.align import Align
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import read_section

NAMES = {"lfw": "LFW", "cfp_ff": "CFP frontal-frontal", "cfp_fp": "CFP frontal-profile"}
RATES = (1e-1, 1e-2, 1e-3)
MAX_PHOTOGRAPHS = 4000  # 8 million pairs, one photograph a person


def main(data: Annotated[Path, typer.Option()], score: Annotated[str, typer.Option()]) -> None:
    """Replace the files of verifier/shipped by those of the rebuild in DATA, whose params.yaml is the working folder's."""
    table = balanced(read_scores(data / "verify" / "scores.parquet"))
    scores, genuine = (np.asarray(table[name].to_numpy()) for name in (score, "genuine"))
    calibration = fit_calibration(scores, genuine, ", ".join(NAMES.values()))
    align = read_section("align", Align).model_copy(update={"several_faces": "largest"})  # LFW's is in the middle
    settings = Settings(
        score=score,
        align=align,
        embed=read_section("embed", Embed),
        max_pixels=read_section("ingest", Ingest).max_pixels,
    )
    impostors = table.filter(pc.invert(table["genuine"]))
    counts = {name: pc.sum(pc.equal(impostors["protocol"], key)).as_py() for key, name in NAMES.items()}
    write_json(FOLDER / SETTINGS, settings.model_dump(mode="json"))
    write_calibrations(FOLDER / CALIBRATION, {score: calibration})
    strangers = impostors_of(score, data, list(NAMES), MAX_PHOTOGRAPHS)
    assert strangers is not None, "LFW has thousands of people"
    write_impostors(FOLDER / IMPOSTORS, strangers)
    save_scorer(FOLDER / SCORER, servable(data)[score])
    about = {
        "weights": {"file": FILE, "sha256": SHA256},
        "num_pairs_of_two_people": counts,
        "num_pairs_of_one_person": counts,
        "at_threshold": rates_at(scores, genuine, calibration.threshold),
        "at_fmr": [rates_at(scores, genuine, threshold_at(scores[~genuine], rate)) for rate in RATES],
    }
    write_json(FOLDER / PROVENANCE, about)
    write_about(FOLDER, about_shipped(counts))
    domain = domain_of(score, data, list(NAMES))
    assert domain is not None, "LFW has thousands of photographs"
    write_domain(FOLDER, domain)


def about_shipped(counts: Mapping[str, int]) -> About:
    """What the package's verifier says of itself, calibrated on so many pairs of each sort by protocol; see dlib's
    dnn_face_recognition_ex.cpp for the training.
    """
    pairs = ", ".join(f"{num:,} of {name}" for name, num in counts.items())
    return About(
        name="dlib_resnet",
        made=datetime.now(UTC).date().isoformat(),
        networks=f"dlib_resnet (dlib's face recognition network, weights SHA-256 {SHA256[:12]})",
        trained_on="dlib_resnet: by dlib's author, about 3 million photographs of 7,485 people (FaceScrub, VGG, web), not here",
        calibrated_on=f"pairs of two people ({pairs}) and as many of one",
    )


def balanced(table: pa.Table) -> pa.Table:
    """Of each protocol of NAMES as many genuine as impostor pairs, those that are too many left out evenly: a probability
    then is that of either being as likely beforehand.

    Raises:
        DataError: a protocol has no pairs.
    """
    protocols, genuine = np.array(table["protocol"].to_pylist()), table["genuine"].to_numpy()
    chosen = []
    for protocol in NAMES:
        kinds = [np.flatnonzero((protocols == protocol) & (genuine == kind)) for kind in (True, False)]
        num = min(map(len, kinds))
        if not num:
            raise DataError("The rebuild lacks pairs that the verifier is calibrated on.", got="none", where=protocol)
        chosen += [rows[np.linspace(0, len(rows) - 1, num).round().astype(np.int64)] for rows in kinds]
    return table.take(pa.array(np.concatenate(chosen)))


def threshold_at(impostors: Doubles, rate: float) -> float:
    """The lowest threshold above which at most this share of the impostor pairs lies."""
    ordered = np.sort(impostors)[::-1]
    return float(ordered[int(rate * len(ordered))])


def rates_at(scores: Doubles, genuine: Bools, threshold: float) -> dict[str, Any]:
    """Errors of a threshold, counts and rates, the false-match rate with its exact 95 % interval (Clopper, Pearson 1934)."""
    false_matches, num = int((scores[~genuine] > threshold).sum()), int((~genuine).sum())
    missed, num_genuine = int((scores[genuine] <= threshold).sum()), int(genuine.sum())
    bounds = binomtest(false_matches, num).proportion_ci()
    return {
        "threshold": threshold,
        "false_matches": false_matches,
        "fmr": false_matches / num,
        "fmr_low": float(bounds.low),
        "fmr_high": float(bounds.high),
        "false_non_matches": missed,
        "fnmr": missed / num_genuine,
    }


if __name__ == "__main__":
    try:
        typer.run(main)
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")
