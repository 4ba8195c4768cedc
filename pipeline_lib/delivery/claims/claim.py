"""A claim of a paper and what came of it on each protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["holds", "contradicted", "undecided", "not measured"]
# of a figure: in [0, 1], shown in per cent and points; or the logarithm, of seconds or of what has no unit
Unit = Literal["share", "log10 s", "log10"]


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: network or score column.
        figure: what it reached on the data.
    """

    name: str
    figure: float


@dataclass(frozen=True)
class Effect:
    """How much better A did than B.

    Attributes:
        measure: what was compared: AUC, accuracy, FPR, ...
        value: A - B on the data; B - A for a measure of which less is better.
        low, high: its 95 % interval.
        a, b: the two sides.
        unit: of the sides' figures and of their difference.
    """

    measure: str
    value: float
    low: float
    high: float
    a: Side
    b: Side
    unit: Unit = "share"


@dataclass(frozen=True)
class Measured:
    """A claim on one protocol, measured.

    Attributes:
        effect: what decides.
        margin: how much worse than B the claim lets A be; below 0, how much better the claim says that A is.
        num_pairs, num_identities: what was compared on; the interval resamples the identities.
        num_redrawn: resamples that held one class and were drawn anew.
        beside: the same comparison by another measure, which decides nothing.
        counted: what num_pairs counts.
    """

    effect: Effect
    margin: float
    num_pairs: int
    num_identities: int
    num_redrawn: int
    beside: Effect | None = None
    counted: Literal["pairs", "queries"] = "pairs"

    @property
    def verdict(self) -> Verdict:
        """holds: the whole interval lies above -margin; contradicted: below it; undecided: on both sides, or on it."""
        if self.effect.low > -self.margin:
            return "holds"
        return "contradicted" if self.effect.high < -self.margin else "undecided"


@dataclass(frozen=True)
class Missing:
    """Why a claim could not be measured: which input is missing, in words that end a sentence."""

    what: str

    @property
    def verdict(self) -> Verdict:
        """not measured."""
        return "not measured"


@dataclass(frozen=True)
class Claim:
    """A claim and what came of it.

    Attributes:
        id: the ledger's, R1; one that is measured for several patch sizes is one claim each, R3-28.
        text: one sentence.
        results: by protocol; none is pooled with another.
        note: what was chosen among several networks, and what favours the claim; empty for nothing to say.
    """

    id: str
    text: str
    results: Mapping[str, Measured | Missing]
    note: str = ""


def as_record(claim: Claim, paper: str) -> dict[str, Any]:
    """A claim as it stands in claims.json: {paper, text, note, protocols: {protocol: {verdict, effect, low, ...}}}."""
    protocols = {name: {"verdict": result.verdict, **_figures(result)} for name, result in claim.results.items()}
    return {"paper": paper, "text": claim.text, "note": claim.note, "protocols": protocols}


def _figures(result: Measured | Missing) -> dict[str, Any]:
    if isinstance(result, Missing):
        return {"missing": result.what}
    beside = {} if result.beside is None else {"beside": _effect(result.beside)}
    nums = {"num_pairs": result.num_pairs, "num_identities": result.num_identities, "num_redrawn": result.num_redrawn}
    counts = {"counted": result.counted, **nums}
    return {**_effect(result.effect), "margin": result.margin, **counts, **beside}


def _effect(effect: Effect) -> dict[str, Any]:
    sides = {name: {"name": side.name, "figure": side.figure} for name, side in (("a", effect.a), ("b", effect.b))}
    figures = {"effect": effect.value, "low": effect.low, "high": effect.high}
    return {"measure": effect.measure, "unit": effect.unit, **figures, **sides}
