"""Claims on queries: A - B of the same queries, kind by kind, over resampled people."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pipeline_lib.delivery.claims.claim import Claim, Measured, Missing, Unit
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.explained import People, Values
from pipeline_lib.delivery.claims.means import compare_means
from pipeline_lib.delivery.claims.ranked import Ranked

THESIS = {
    "weights": "apc",
    "alpha": 0.7,
    "pool": 1,
    "top_k": 100,
    "less_mean": False,
    "centred": False,
    "index": "exact",
}
P_AT_1 = "P@1"
ALL = "queries"  # in a protocol's place where no query could be asked


def of_kind(entries: Iterable[Ranked], kind: str) -> list[Ranked]:
    """The entries of a kind of re-ranker with occluded queries, the thesis's own setting first, then what is nearest to it."""

    def order(entry: Ranked) -> tuple[object, ...]:
        others = [key for key, value in THESIS.items() if entry.settings.get(key, value) != value]
        return len(others), others, entry.name

    return sorted((e for e in entries if e.kind == kind and e.settings["queries"] == "occluded"), key=order)


def first_of_each_network(entries: Iterable[Ranked]) -> dict[str, Ranked]:
    """Network -> the first of its entries."""
    found: dict[str, Ranked] = {}
    for entry in entries:
        found.setdefault(entry.network, entry)
    return found


def compare_queries(
    evidence: Evidence,
    queries: Mapping[str, People],
    a: Mapping[str, Values],
    b: Mapping[str, Values],
    measure: str = P_AT_1,
    *,
    margin: float = 0.0,
    unit: Unit = "share",
    wanted: Callable[[str], bool] = lambda kind: True,
) -> dict[str, Measured | Missing]:
    """A - B for each kind of query that is wanted, on the queries that all sides have; see means.compare_means."""
    found: dict[str, Measured | Missing] = {}
    for kind, people in sorted(queries.items()):
        if not wanted(kind):
            continue
        shared = {
            query: who for query, who in people.items() if all(query in side for side in (*a.values(), *b.values()))
        }
        if not shared:
            found[kind] = Missing("the two have no query in common")
        elif len(set(shared.values())) < 2:
            found[kind] = Missing("its queries show one person only")
        else:
            result = compare_means(evidence, shared, a, b, measure, margin=margin, unit=unit)
            found[kind] = replace(result, counted="queries") if isinstance(result, Measured) else result
    return found


def not_asked(name: str, text: str, what: str) -> Claim:
    """A claim that no queries can answer."""
    return Claim(name, text, {ALL: Missing(what)})
