"""The figures of a run's fusions, as the fusion paper's Table I and Fig. 3 show them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.delivery.claims.evidence import Evidence, Half
from pipeline_lib.delivery.claims.fusion import bottlenecks, column, fusions, plain, sweeps
from pipeline_lib.matching.verification.paired_bootstrap import TooFewIdentities

MEASURES = ("accuracy", "AUC")
HALVES: tuple[Half, ...] = ("all", "sharper", "blurrier")
Record = dict[str, Any]


def fusion_figures(evidence: Evidence) -> Record:
    """By the pair of networks that is fused, joined by " + ": `table` and `curves`; empty where no fusion was scored.

    table: rows {score, what, figures: {protocol: {measure: [value, low, high]}}}: each network alone, the sums of their scores,
    the parts, the bottlenecks. curves: {name: {protocol: {half: {measure: [[beta, value, low, high], ...]}}}}, one for each sweep
    of beta, by the name of its first network. Accuracy is that at the best threshold, as claims compare it; intervals are of 95 %
    over identities. A protocol with too few identities is left out.
    """
    pairs = dict.fromkeys(network.over for network in fusions(evidence))
    protocols = [protocol for protocol in evidence.protocols if _has_resamples(evidence, protocol)]
    return {
        " + ".join(over): {
            "table": [_row(evidence, protocols, score, what) for score, what in _scores(evidence, over)],
            "curves": {
                sweep[0].name: {
                    protocol: {
                        half: {
                            measure: [
                                [network.spec["beta"], *_figure(evidence, protocol, column(network), measure, half)]
                                for network in sweep
                            ]
                            for measure in MEASURES
                        }
                        for half in HALVES
                    }
                    for protocol in protocols
                }
                for sweep in sweeps(evidence)
                if sweep[0].over == over
            },
        }
        for over in pairs
    }


def _scores(evidence: Evidence, over: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Score columns and what they are, in the order of the paper's Table I."""
    for name in over:
        if f"cosine:{name}" in evidence.kinds:
            yield f"cosine:{name}", f"{name} alone"
    for kind, words in (("score_sum", "sum of standardised cosines"), ("concatenation", "embeddings side by side")):
        for name, entry in evidence.scored.items():
            if entry.kind == kind and set(entry.own["networks"]) == set(over) and name in evidence.kinds:
                yield name, words
    for parts in ("global", "local", "both"):
        yield from ((column(one), f"fusion, {parts}") for one in plain(evidence, parts) if one.over == over)
    for one in bottlenecks(evidence):
        if one.over == over:
            yield column(one), f"fusion, {one.spec['parts']}, beta {one.spec['beta']:g}"


def _row(evidence: Evidence, protocols: list[str], score: str, what: str) -> Record:
    figures = {
        protocol: {measure: _figure(evidence, protocol, score, measure) for measure in MEASURES}
        for protocol in protocols
    }
    return {"score": score, "what": what, "figures": figures}


def _figure(evidence: Evidence, protocol: str, score: str, measure: str, half: Half = "all") -> list[float | None]:
    """Value, low, high; None where a half is of one class."""
    found = evidence.figures(protocol, score, measure, half)
    usable = found[1:][np.isfinite(found[1:])]
    if not np.isfinite(found[0]) or len(usable) < 2:
        return [None, None, None]
    return [float(found[0]), *interval(usable)]


def _has_resamples(evidence: Evidence, protocol: str) -> bool:
    try:
        evidence.pairs(protocol)
    except TooFewIdentities:
        return False
    return True
