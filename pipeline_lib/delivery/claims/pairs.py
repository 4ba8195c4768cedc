"""Claims on verification pairs: A - B, paired over resampled identities."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.core.roc import Doubles
from pipeline_lib.delivery.claims.claim import Effect, Measured, Missing, Side
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.matching.verification.paired_bootstrap import TooFewIdentities, TooFewImpostors


def compare(
    evidence: Evidence,
    a: Sequence[str],
    b: Sequence[str],
    measure: str = "AUC",
    margin: float = 0.0,
    beside: str | None = None,
) -> dict[str, Measured | Missing]:
    """A - B on every protocol of the run.

    A side of several columns counts with its best one, chosen anew on every resample: the interval holds the choice.

    Args:
        a, b: score columns of each side.
        measure: AUC, accuracy at the best threshold, or a TAR (evidence.TAR), with which protocols whose impostors are too few
            for its rate are not measured.
        margin: in the measure's unit, >= 0.
        beside: another measure that is shown and decides nothing.
    """
    missing = sorted({*a, *b} - set(evidence.kinds))
    if missing:
        return nowhere(evidence, f"the pair scores have no column {' and no '.join(missing)}")
    return {protocol: _on(evidence, protocol, a, b, measure, margin, beside) for protocol in evidence.protocols}


def compare_extremes(
    evidence: Evidence, columns: Sequence[str], measure: str, margin: float
) -> dict[str, Measured | Missing]:
    """The worst of `columns` less the best one, both chosen anew on every resample, on every protocol of the run.

    Args:
        columns: two or more.
        measure, margin: as compare's.
    """
    return {
        protocol: _judged(evidence, protocol, margin, partial(_extremes, evidence, protocol, columns, measure))
        for protocol in evidence.protocols
    }


def nowhere(evidence: Evidence, what: str) -> dict[str, Measured | Missing]:
    """The same input is missing on every protocol."""
    return dict.fromkeys(evidence.protocols, Missing(what))


def _on(
    evidence: Evidence,
    protocol: str,
    a: Sequence[str],
    b: Sequence[str],
    measure: str,
    margin: float,
    beside: str | None,
) -> Measured | Missing:
    other = None if beside is None else partial(_effect, evidence, protocol, a, b, beside)
    return _judged(evidence, protocol, margin, partial(_effect, evidence, protocol, a, b, measure), other)


def _judged(
    evidence: Evidence,
    protocol: str,
    margin: float,
    effect: Callable[[], Effect],
    beside: Callable[[], Effect] | None = None,
) -> Measured | Missing:
    try:
        pairs = evidence.pairs(protocol)
        found, other = effect(), None if beside is None else beside()
    except TooFewIdentities:
        return Missing("the protocol has too few identities to resample them")
    except TooFewImpostors:
        return Missing("the protocol has too few impostor pairs for this FAR")
    return Measured(found, margin, pairs.num_pairs, pairs.num_identities, pairs.num_redrawn, other)


def _effect(evidence: Evidence, protocol: str, a: Sequence[str], b: Sequence[str], measure: str) -> Effect:
    (best_a, side_a), (best_b, side_b) = (_best(evidence, protocol, columns, measure) for columns in (a, b))
    differences = best_a - best_b
    return Effect(measure, float(differences[0]), *interval(differences[1:]), side_a, side_b)


def _extremes(evidence: Evidence, protocol: str, columns: Sequence[str], measure: str) -> Effect:
    figures = np.stack([evidence.figures(protocol, column, measure) for column in columns])
    differences = figures.min(axis=0) - figures.max(axis=0)
    rows = int(figures[:, 0].argmin()), int(figures[:, 0].argmax())
    worst, best = (Side(columns[row], float(figures[row, 0])) for row in rows)
    return Effect(measure, float(differences[0]), *interval(differences[1:]), worst, best)


def _best(evidence: Evidence, protocol: str, columns: Sequence[str], measure: str) -> tuple[Doubles, Side]:
    """The best of `columns` on the data and on each resample, and the one that is best on the data."""
    figures = np.stack([evidence.figures(protocol, column, measure) for column in columns])
    best = int(np.argmax(figures[:, 0]))
    name = columns[best]
    shown = name.rpartition(":")[2] if evidence.kinds[name] == "cosine" else name
    return figures.max(axis=0), Side(shown, float(figures[best, 0]))
