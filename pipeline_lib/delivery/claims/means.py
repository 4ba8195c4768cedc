"""Claims on means over explained pairs: A - B on the same pairs, over resampled identities."""

from collections.abc import Mapping

import numpy as np

from pipeline_lib.core.bootstrap import Doubles, IdentityBootstrap, interval
from pipeline_lib.delivery.claims.claim import Effect, Measured, Missing, Side, Unit
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.explained import Pair, People, Rows, Values


def compare_means(
    evidence: Evidence,
    people: People,
    a: Mapping[str, Values],
    b: Mapping[str, Values],
    measure: str,
    *,
    margin: float = 0.0,
    less_is_better: bool = False,
    unit: Unit = "share",
) -> Measured | Missing:
    """A - B, or B - A where less is better, on the pairs that all of them have.

    A side of several names counts with its best one, chosen anew on every resample: the interval holds the choice.

    Args:
        people: whose pairs they are.
        a, b: of each side, name -> a value a pair.
        margin: see Measured.
    """
    sides = [*a.values(), *b.values()]
    shared = [pair for pair in people if all(pair in values for values in sides)]
    if not shared:
        return Missing("none of its pairs is explained")
    bootstrap = evidence.resampled(np.array([people[pair] for pair in shared]))
    if bootstrap.num_identities < 2:
        return Missing("the explained pairs show one person only")
    sign = -1.0 if less_is_better else 1.0
    (best_a, side_a), (best_b, side_b) = (_best(bootstrap, shared, side, sign) for side in (a, b))
    differences = best_a - best_b
    effect = Effect(measure, float(differences[0]), *interval(differences[1:]), side_a, side_b, unit)
    return Measured(effect, margin, len(shared), bootstrap.num_identities, num_redrawn=0)


def people_of(rows: Rows) -> People:
    """Who is on the pairs of a table of explained pairs: `identity` where all are genuine, else `identity_a`, `identity_b`."""
    return {
        pair: (row.get("identity_a", row.get("identity")), row.get("identity_b", row.get("identity")))
        for pair, row in rows.items()
    }


def _best(
    bootstrap: IdentityBootstrap, pairs: list[Pair], side: Mapping[str, Values], sign: float
) -> tuple[Doubles, Side]:
    """The best mean, signed so that more is better, on the data and on each resample; and the one that is best on the data."""
    names = list(side)
    means = sign * bootstrap.means([[side[name][pair] for name in names] for pair in pairs])
    best = int(np.argmax(means[0]))
    return means.max(axis=1), Side(names[best], sign * float(means[0, best]))
