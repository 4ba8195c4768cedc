"""DeepFace-EMD (Phan and Nguyen, papers/deepface-emd-and-face-vit.md, chapter 3 and section 5.2): claims E1 to E10."""

from collections.abc import Callable, Mapping

from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.claims.claim import Claim, Missing
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.over import Over
from pipeline_lib.delivery.claims.pairs import compare, nowhere
from pipeline_lib.delivery.claims.queries import compare_queries, first_of_each_network, not_asked, of_kind
from pipeline_lib.delivery.claims.ranked import Ranked, same_but

PAPER = "DeepFace-EMD"
# What the kinds of queries of each claim are called: a kind, or a part of a combination (mask_cloth+sunglasses), begins so.
QUERIES = {"E1": "mask", "E2": "sunglasses", "E3": "crop", "E4": "profile", "E5": "adversarial"}
WORDS = {
    "mask": "masked",
    "sunglasses": "under sunglasses",
    "crop": "cropped",
    "profile": "in profile",
    "adversarial": "that are adversarial",
}
GRID_MARGIN = 0.005
NO_ENTRY = "no entry of rerank compares occluded queries by the earth mover's distance"


def helped(evidence: Evidence) -> list[Claim]:
    """E1 to E5: re-ranking raises P@1: after - before, of the kinds of queries in QUERIES (Tables 5.4 to 5.7)."""
    return [claim for name, part in QUERIES.items() for claim in _helped(evidence, name, part)]


def e6(evidence: Evidence) -> list[Claim]:
    """Uniform and APC weights beat CC: P@1 of each less that of CC (Table 5.2)."""
    return [claim for weights in ("uniform", "apc") for claim in _weighed(evidence, weights)]


def e7(evidence: Evidence) -> list[Claim]:
    """The fine grid is no worse: P@1 on the native grid less that on its 2x2 average, margin 0.5 points (Table 5.2)."""
    text = "Cells as the network has them re-rank no worse than their averages of 2x2."
    entries = _entries(evidence)
    pairs = _first_pairs(
        [e for e in entries if e.settings["pool"] == 1], entries, {"pool"}, lambda e: e.settings["pool"] == 2
    )
    wanted = "no network has two entries of rerank that differ in pool alone, 1 and 2"
    return _of_pairs(evidence, "E7", text, pairs, wanted, GRID_MARGIN)


def e8(evidence: Evidence) -> list[Claim]:
    """Two stages beat EMD at stage 1: P@1 of the first k re-ranked less that of the whole gallery by EMD alone; log10 of the
    seconds, the other way round (Table 5.3).
    """
    text = "Re-ranking the first candidates beats ranking the whole gallery by the earth mover's distance."
    entries = _entries(evidence)
    two = [entry for entry in entries if entry.settings["top_k"] is not None]

    def is_whole(entry: Ranked) -> bool:
        return entry.settings["top_k"] is None and entry.settings["alpha"] == 1

    pairs = _first_pairs(two, entries, {"top_k", "alpha", "index"}, is_whole)
    wanted = "no network has a two-stage entry of rerank and one like it with top_k: null and alpha: 1"
    better = _of_pairs(evidence, "E8", text, pairs, wanted)
    faster = (
        "Ranking the whole gallery by the earth mover's distance takes longer than re-ranking its first candidates."
    )
    if not pairs:
        return [*better, not_asked("E8-time", faster, wanted)]
    return better + [
        Claim(
            f"E8-time-{network}",
            faster,
            compare_queries(
                evidence, a.queries, {b.name: b.log_seconds}, {a.name: a.log_seconds}, "time", unit="log10 s"
            ),
            f"A is {b.words}; B is {a.words}. Seconds of stage 2 a query, on one thread.",
        )
        for network, (a, b) in pairs.items()
    ]


def e9(evidence: Evidence) -> list[Claim]:
    """Re-ranking rivals finetuning: P@1 of the network re-ranked less that of the finetuned one by cosine (Table 5.8)."""
    text = "Re-ranking a network finds masked people more often than the cosine of that network finetuned on occluded faces."
    first = first_of_each_network(_entries(evidence))
    claims = []
    for tuned in (network for network in evidence.over if not network.over):
        base = _began_as(evidence, tuned)
        if isinstance(base, Missing):
            claims.append(not_asked(f"E9-{tuned.name}", text, base.what))
            continue
        ours = first.get(base)
        theirs = [
            entry
            for entry in evidence.ranked
            if entry.network == tuned.name
            and ours is not None
            and entry.settings["centred"] == ours.settings["centred"]
        ]
        if ours is None or not theirs:
            what = f"rerank needs an entry of kind emd of {base} and one of {tuned.name} with the same cosines"
            claims.append(not_asked(f"E9-{tuned.name}", text, what))
            continue
        a, b = {ours.name: ours.after}, {f"cosine of {tuned.name}": theirs[0].before}
        found = compare_queries(evidence, ours.queries, a, b, wanted=_shows("mask"))
        note = f"A is {ours.words}, of {base}."
        claims.append(
            Claim(f"E9-{tuned.name}", text, found, note)
            if found
            else not_asked(f"E9-{tuned.name}", text, "no query is masked")
        )
    return claims or [not_asked("E9", text, "no network of networks_over is a finetuned one")]


def e10(evidence: Evidence) -> list[Claim]:
    """The combined distance verifies better: accuracy of scores of kind emd less that of their network's cosine (Table 5.9)."""
    text = "Alpha parts of the earth mover's distance and the rest of cosine verify better than the cosine alone."
    claims = []
    for column, entry in evidence.scored.items():
        network = entry.of.rpartition("/")[2]
        cosine = f"cosine:{network}"
        if entry.kind == "emd" and column in evidence.kinds and cosine in evidence.kinds:
            found = compare(evidence, [column], [cosine], "accuracy", beside="AUC")
            test = {protocol: result for protocol, result in found.items() if protocol != VALIDATION}
            note = "The thesis's pairs are masked; these are the protocols' own."
            claims.append(Claim(f"E10-{column}", text, test, note))
    return claims or [Claim("E10", text, nowhere(evidence, "no score of kind emd stands beside its network's cosine"))]


CLAIMS = (helped, e6, e7, e8, e9, e10)


def _entries(evidence: Evidence) -> list[Ranked]:
    return of_kind(evidence.ranked, "emd")


def _shows(part: str) -> Callable[[str], bool]:
    return lambda kind: any(each.startswith(part) for each in kind.split("+"))


def _helped(evidence: Evidence, name: str, part: str) -> list[Claim]:
    text = f"Re-ranking puts the right person first more often: queries {WORDS[part]}."
    two_stages = [entry for entry in _entries(evidence) if entry.settings["top_k"] is not None]
    claims = []
    for network, entry in first_of_each_network(two_stages).items():
        found = compare_queries(
            evidence, entry.queries, {entry.name: entry.after}, {"cosine": entry.before}, wanted=_shows(part)
        )
        if found:
            claims.append(Claim(f"{name}-{network}", text, found, f"A is {entry.words}{_unlike_the_thesis(entry)}."))
    what = f"the run has no queries {WORDS[part]}" if two_stages else NO_ENTRY
    return claims or [not_asked(name, text, what)]


def _unlike_the_thesis(entry: Ranked) -> str:
    own = entry.settings
    is_default = own["weights"] == "apc" and own["alpha"] == 0.7 and own["pool"] == 1
    return "" if is_default else "; the thesis's own, apc weights, alpha 0.7, native grid, is none of its entries"


def _weighed(evidence: Evidence, weights: str) -> list[Claim]:
    entries = _entries(evidence)
    ours = [entry for entry in entries if entry.settings["weights"] == weights]
    pairs = _first_pairs(ours, entries, {"weights"}, lambda entry: entry.settings["weights"] == "cc")
    text = f"Weights {weights} re-rank better than weights cc."
    wanted = f"no network has two entries of rerank that differ in weights alone, {weights} and cc"
    return _of_pairs(evidence, f"E6-{weights}", text, pairs, wanted)


def _first_pairs(
    first: list[Ranked], entries: list[Ranked], keys: set[str], other: Callable[[Ranked], bool]
) -> dict[str, tuple[Ranked, Ranked]]:
    """Network -> the first of its entries that has another like it but for some keys, and that one."""
    found: dict[str, tuple[Ranked, Ranked]] = {}
    for entry in first:
        for like in same_but(entries, entry, keys):
            if other(like):
                found.setdefault(entry.network, (entry, like))
    return found


def _of_pairs(
    evidence: Evidence,
    name: str,
    text: str,
    pairs: Mapping[str, tuple[Ranked, Ranked]],
    wanted: str,
    margin: float = 0.0,
) -> list[Claim]:
    """A claim a network: P@1 of the one entry less that of the other."""
    return [
        Claim(
            f"{name}-{network}",
            text,
            compare_queries(evidence, a.queries, {a.name: a.after}, {b.name: b.after}, margin=margin),
            f"A is {a.words}; B is {b.words}.",
        )
        for network, (a, b) in pairs.items()
    ] or [not_asked(name, text, wanted)]


def _began_as(evidence: Evidence, tuned: Over) -> str | Missing:
    """The network of the run that a finetuned one began as: it is saved as what it is, so its shape has to tell."""
    names = [name for name, spec in evidence.specs.items() if spec == tuned.spec]
    if len(names) == 1:
        return names[0]
    which = " or ".join(names) if names else "none has its shape"
    return Missing(f"what {tuned.name} began as cannot be told from the networks of the run: {which}")
