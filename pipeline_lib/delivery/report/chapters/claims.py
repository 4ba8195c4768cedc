"""Chapter: what the papers claim, and what this rebuild says of it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.claims import words
from pipeline_lib.delivery.report.chapter import About

ORDER = 10
TITLE = "Claims of the papers"
NEEDS = ("claims/claims.json",)


@dataclass(frozen=True)
class Ledger:
    """claims.json as stage claims writes it."""

    claims: Mapping[str, Any]


def read(data: Path) -> Ledger | None:
    """The ledger, None where it is empty.

    Raises:
        DataError: the file is no JSON.
    """
    claims = read_json(data / "claims" / "claims.json")
    return Ledger(claims) if claims else None


def show(found: Ledger, about: About) -> dict[str, object]:
    """The template's values: `claims`, and `verdicts`, how often each verdict came out."""
    results = [result for claim in found.claims.values() for result in claim["protocols"].values()]
    counts = Counter(result["verdict"] for result in results)
    return {
        "claims": [_claim(name, claim) for name, claim in found.claims.items()],
        "verdicts": [(verdict, counts[verdict]) for verdict in words.VERDICTS],
    }


def axis_end(values: Sequence[float]) -> float:
    """Where an axis from -end to end has to stop to show all `values`: 1, 2 or 5 times a power of ten; 0.01 for nothing."""
    largest = max((abs(value) for value in values), default=0.0) or 0.01
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if largest <= step * power * (1 + 1e-9))


def _claim(name: str, claim: Mapping[str, Any]) -> dict[str, object]:
    measured = {protocol: result for protocol, result in claim["protocols"].items() if "effect" in result}
    ends = [result[key] for result in measured.values() for key in ("low", "high", "margin")]
    end = axis_end(ends)
    units = {result["unit"] for result in measured.values()} or {"share"}
    return {
        "name": name,
        "paper": claim["paper"],
        "text": claim["text"],
        "notes": [line for line in (words.margin_words(claim), claim["note"]) if line],
        "rows": [_row(protocol, result, end) for protocol, result in measured.items()],
        "missing": words.missing_words(claim),
        # What stands at the two ends of the axis.
        "ends": _ends(units.pop(), end),
    }


def _ends(unit: str, end: float) -> tuple[str, str]:
    if unit == "share":
        return f"−{100 * end:g} points, B better", f"A better, +{100 * end:g}"
    words = f"takes {10**end:g} times as long" if unit == "log10 s" else f"is {10**end:g} times as large"
    return f"B {words}", f"A {words}"


def _row(protocol: str, result: Mapping[str, Any], end: float) -> dict[str, object]:
    """A protocol's line; places on the axis in per cent of its width."""
    place = {key: 50 + 50 * result[key] / end for key in ("low", "high", "effect")}
    margin = 50 - 50 * result["margin"] / end if result["margin"] else None
    beside = result.get("beside")
    return {
        "protocol": protocol,
        "verdict": result["verdict"],
        "effect": words.effect_words(result),
        "sides": words.sides_words(result),
        "counts": words.counts_words(result),
        "beside": f"{words.effect_words(beside)}: {words.sides_words(beside)}" if beside else "",
        "place": place,
        "margin": margin,
    }
