"""xSSAB (Huber et al., Efficient Explainable Face Verification based on Similarity Score Argument Backpropagation): S1 to S3."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pipeline_lib.core.dpr import GENUINE, area, decision_errors
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.claims.claim import Claim, Measured, Missing
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.explained import Explained, Rows
from pipeline_lib.delivery.claims.means import compare_means
from pipeline_lib.schemas.replacement import REPLACEMENT

FILE = "replacement.parquet"
CAUSED = {"FMR": "make two people one", "FNMR": "make one person two"}


class Method(NamedTuple):
    """What a claim is about: entries of a kind whose settings are as wanted, and how to call it where there is none."""

    kind: str
    has: Callable[[Mapping[str, Any]], bool]
    words: str

    def entries(self, evidence: Evidence, network: str) -> list[Explained]:
        """Those of a network."""
        of_network = (entry for entry in evidence.explained if entry.network == network)
        return [entry for entry in of_network if entry.kind == self.kind and self.has(entry.settings)]


XSSAB = Method(
    "xssab", lambda own: not own.get("blur", False), "xssab without blur"
)  # the paper's figures are without, too
RANDOM = Method("random", lambda own: True, "random")
XCOS_S = Method("xcos", lambda own: own.get("map") == "cosine", "xcos with map: cosine")
XFACE = Method("xface", lambda own: True, "xface")


def s1(evidence: Evidence) -> list[Claim]:
    """xSSAB beats random: DPR area of random less that of xSSAB, for FMR and for FNMR (Table 2)."""
    return _claims(evidence, "S1", "xSSAB finds the squares that {} better than a random map does.", XSSAB, RANDOM)


def s2(evidence: Evidence) -> list[Claim]:
    """xSSAB beats the cosine map of xCos: DPR area of xCos S less that of xSSAB, for FMR and for FNMR (Table 2)."""
    return _claims(evidence, "S2", "xSSAB finds the squares that {} better than xCos's cosines do.", XSSAB, XCOS_S)


def s3(evidence: Evidence) -> list[Claim]:
    """xFace beats xSSAB: DPR area of xSSAB less that of xFace's best variant, for FMR and for FNMR (Table 2)."""
    return _claims(evidence, "S3", "xFace finds the squares that {} better than xSSAB does.", XFACE, XSSAB)


def _claims(evidence: Evidence, name: str, text: str, a: Method, b: Method) -> list[Claim]:
    """A claim for each error and each network that both methods explain."""
    sides = {
        network: (a.entries(evidence, network), b.entries(evidence, network))
        for network in dict.fromkeys(entry.network for entry in evidence.explained)
    }
    both = {network: found for network, found in sides.items() if all(found)}
    protocols = [protocol for protocol in evidence.protocols if protocol != VALIDATION]
    if not both:
        missing = Missing(f"no network is explained both by {a.words} and by {b.words}")
        return [
            Claim(f"{name}-{error}", text.format(CAUSED[error]), dict.fromkeys(protocols, missing)) for error in GENUINE
        ]
    return [
        Claim(
            f"{name}-{error}-{network}",
            text.format(CAUSED[error]),
            {protocol: _compared(evidence, protocol, error, *found) for protocol in protocols},
            _note(*found),
        )
        for error in GENUINE
        for network, found in both.items()
    ]


def _compared(
    evidence: Evidence, protocol: str, error: str, a: list[Explained], b: list[Explained]
) -> Measured | Missing:
    sides = [{entry.name: _rows(entry, protocol, error) for entry in side} for side in (a, b)]
    every = [item for side in sides for rows in side.values() for item in rows.items()]
    people = {pair: (row["identity_a"], row["identity_b"]) for pair, row in every}
    areas_a, areas_b = (
        {name: {pair: _area(row) for pair, row in rows.items()} for name, rows in side.items()} for side in sides
    )
    return compare_means(evidence, people, areas_a, areas_b, f"DPR area ({error})", less_is_better=True)


def _rows(entry: Explained, protocol: str, error: str) -> Rows:
    """The pairs that the error is of."""
    rows = entry.rows(protocol, REPLACEMENT, FILE)
    return {pair: row for pair, row in rows.items() if row["genuine"] == GENUINE[error]}


def _area(row: Mapping[str, Any]) -> float:
    """Area, in [0, 1], under a pair's curve of wrong decisions; their mean is the area under the error rate's."""
    return float(area(decision_errors([row["scores"]], [row["threshold"]], [row["genuine"]]))[0]) / 100


def _note(a: list[Explained], b: list[Explained]) -> str:
    chosen = [f"{side} is its best entry on each resample" for side, found in (("A", a), ("B", b)) if len(found) > 1]
    unit = "An area of 1 in the paper's Table 2 is 1 here; less is better, and the difference is B − A."
    return " ".join([unit, *(f"{words}." for words in chosen)])
