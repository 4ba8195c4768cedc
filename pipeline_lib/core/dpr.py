"""DPR curves: error rates as a patched image is given back, and the areas under them, on resamples of the people."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.bootstrap import NUM_RESAMPLES, IdentityBootstrap, interval
from pipeline_lib.core.roc import Bools, Doubles

NUM_STEPS = 20  # of 5 % of all pixels
GENUINE = {"FMR": False, "FNMR": True}  # whose pairs each error is of


def decision_errors(scores: npt.ArrayLike, thresholds: npt.ArrayLike, genuine: npt.ArrayLike) -> Doubles:
    """1 where the decision about a pair is wrong at a step, else 0: (N, 21); a pair is a match where score >= threshold.

    Args:
        scores: (N, 21).
        thresholds: (N,).
        genuine: bool (N,).
    """
    matches = np.asarray(scores, np.float64) >= np.asarray(thresholds, np.float64)[:, None]
    return np.asarray(matches != np.asarray(genuine, bool)[:, None], np.float64)


def area(curve: Doubles) -> Doubles:
    """Area under curves (..., 21) by trapezoids; x in per cent of the pixels, so a rate of 1 throughout has 100.

    This is the mean rate along the curve, in per cent. The paper names no unit, but in steps of 5 % ArcFace's curve of xCos_S,
    which has 18.74 (xSSAB's Table 2) and starts at a rate of 0.606 (Table 1), could not exceed 12.1 without rising.
    """
    return np.asarray(np.trapezoid(curve, dx=100.0 / (curve.shape[-1] - 1), axis=-1))


def resampled_curves(
    tables: Mapping[str, pa.Table], error: str, seed: int, num_bootstrap: int = NUM_RESAMPLES
) -> dict[str, Doubles]:
    """Curves of methods on the pairs that all of them have: method -> rates (1 + R, 21), as the pairs are, then on resamples.

    All methods see the same resamples of the pairs' people, so the rows of two can be subtracted. Pairs of one person only
    have none (R = 0); where there is no common pair, there is no method in the answer.

    Args:
        tables: method -> its table of schemas.replacement.REPLACEMENT, of one protocol.
        error: FMR or FNMR.
        seed: of the resamples.
    """
    rows = {method: _by_pair(table, GENUINE[error]) for method, table in tables.items()}
    common = sorted(set.intersection(*map(set, rows.values())))
    if not common:
        return {}
    taken = {method: tables[method].take([by_pair[pair] for pair in common]) for method, by_pair in rows.items()}
    first = next(iter(taken.values()))
    people = np.array([first[side].to_pylist() for side in ("identity_a", "identity_b")]).T
    pairs = IdentityBootstrap(people, num_bootstrap, np.random.default_rng(seed))
    curves = {method: pairs.means(_errors(table)) for method, table in taken.items()}
    return curves if pairs.num_identities > 1 else {method: rates[:1] for method, rates in curves.items()}


def ends(resampled: Doubles) -> tuple[float, float] | None:
    """A 95 % interval from a figure's values on the resamples, (R,); None where there are none."""
    return interval(resampled) if len(resampled) else None


def _by_pair(table: pa.Table, genuine: bool) -> dict[tuple[str, str], int]:
    """Where each genuine, or each impostor, pair stands in the table."""
    columns = (table[name].to_pylist() for name in ("image_a", "image_b", "genuine"))
    return {(a, b): row for row, (a, b, of) in enumerate(zip(*columns, strict=True)) if of == genuine}


def _errors(table: pa.Table) -> Doubles:
    scores = np.array(table["scores"].to_pylist(), np.float64)
    genuine: Bools = table["genuine"].to_numpy()
    return decision_errors(scores, table["threshold"].to_numpy(), genuine)
