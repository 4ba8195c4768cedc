"""How sure the figures of a protocol are: 95 % intervals over its people, for every score at once."""

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline_lib.core.roc import Bools, Doubles, ranked_scores
from pipeline_lib.matching.scores.shared.pairs import PairSet, protocol_rows
from pipeline_lib.matching.verification.calibrated import CALIBRATION_ERROR, Fits, Judged, judged_on
from pipeline_lib.matching.verification.figures import Metrics, evaluation
from pipeline_lib.matching.verification.reliability import calibration_error
from pipeline_lib.matching.verification.resampled_pairs import NoIntervals, ResampledPairs, interval_ends
from pipeline_lib.matching.verification.resampled_roc import resampled_roc
from pipeline_lib.params.verify import Verify

log = logging.getLogger("face_verifier")

SEED = 0  # every score of a protocol sees the same resamples


class Resampled(NamedTuple):
    """Figures, by name, and what they are, (F, R), under weights (N, R)."""

    names: list[str]
    measure: Callable[[Doubles], Doubles]


def resampled_protocols(pairs: PairSet, num_samples: int) -> dict[str, ResampledPairs]:
    """The resamples of each protocol's people; none of a protocol whose people do not allow intervals, which is logged, and none
    at all for num_samples 0."""
    found = {}
    for protocol, rows in protocol_rows(pairs.table) if num_samples else ():
        part = pairs.table.take(rows)
        sides = [list(pairs.owners(part[side].to_pylist())) for side in ("image_a", "image_b")]
        people, genuine = np.array(sides, np.str_).T, part["genuine"].to_numpy()
        try:
            found[protocol] = ResampledPairs(people, genuine, num_samples, np.random.default_rng(SEED))
        except NoIntervals as error:
            log.warning("The figures of protocol %s have no intervals: %s", protocol, error)
    return found


def with_intervals(
    metrics: Metrics, table: pa.Table, fits: Fits, resampled: Mapping[str, ResampledPairs], params: Verify
) -> Metrics:
    """The metrics of a score table with <figure>_low and <figure>_high of each accuracy_mean, auc, eer, tar@<rate> and
    calibration_error_<kind>, and num_identities, on the protocols that have resamples.

    The accuracy's interval keeps the folds' thresholds as they are: chosen anew on each resample they jump where accuracy hardly
    depends on them, which made intervals of differences twice as wide (RankedPairs.accuracy).
    """
    found = dict(metrics)
    for protocol, rows in protocol_rows(table):
        if protocol in resampled:
            part, judged = table.take(rows), evaluation(protocol, params)
            measures = {
                score: _measures(part, score, figures, judged.correct(part, score), fits)
                for score, figures in metrics[protocol].items()
            }
            drawn: dict[str, list[Doubles]] = {score: [] for score in measures}
            for weights in resampled[protocol].blocks():
                for score, parts in measures.items():
                    drawn[score].append(np.concatenate([one.measure(weights) for one in parts]))
            found[protocol] = {
                score: {
                    **metrics[protocol][score],
                    **interval_ends(
                        [name for one in parts for name in one.names], np.concatenate(drawn[score], axis=1)
                    ),
                    "num_identities": resampled[protocol].num_identities,
                }
                for score, parts in measures.items()
            }
    return found


def _measures(
    part: pa.Table, score: str, figures: Mapping[str, float], correct: Bools | None, fits: Fits
) -> list[Resampled]:
    genuine, found = part["genuine"].to_numpy(), []
    rates = [float(name.removeprefix("tar@")) for name in figures if name.startswith("tar@")]
    if {"auc", "eer"} <= set(figures):
        ranked = ranked_scores(part[score].to_numpy(), genuine)
        names = ["auc", "eer", *(f"tar@{rate:g}" for rate in rates)]
        found.append(Resampled(names, lambda weights: resampled_roc(ranked, weights, rates)))
    if correct is not None:
        folds = part["fold"].to_numpy()
        size = (
            1 / np.unique(folds, return_counts=True)[1][np.unique(folds, return_inverse=True)[1]]
        )  # a fold counts as any
        found.append(
            Resampled(["accuracy_mean"], lambda weights: (((correct * size) @ weights) / (size @ weights))[None])
        )
    for kind, judged in judged_on(part, score, fits).items():
        found.append(Resampled([f"{CALIBRATION_ERROR}{kind}"], _error_of(judged, genuine)))
    return found


def _error_of(judged: Judged, genuine: Bools) -> Callable[[Doubles], Doubles]:
    return lambda weights: calibration_error(judged.probabilities, genuine, weights)[None]
