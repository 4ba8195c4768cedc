"""The ledger in words: the parts that a terminal and the report share, and the text that `face-verifier claims` prints."""

import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 110
VERDICTS = ("holds", "contradicted", "undecided", "not measured")


def as_text(claims: Mapping[str, Any]) -> str:
    """claims.json as lines for a terminal: a block a claim, in it a line a protocol.

    Args:
        claims: the file's content, {id: {paper, text, note, protocols}}.
    """
    return "\n\n".join(_block(name, claim) for name, claim in claims.items()) or "There are no claims."


def points(share: float) -> str:
    """A difference of shares in points, signed: 0.0123 -> +1.23."""
    text = f"{100 * share:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def effect_words(effect: Mapping[str, Any]) -> str:
    """A - B with its interval: +1.23 points of AUC (95 %: −0.20 to +2.10)."""
    low, high = points(effect["low"]), points(effect["high"])
    return f"{points(effect['effect'])} points of {effect['measure']} (95 %: {low} to {high})"


def sides_words(effect: Mapping[str, Any]) -> str:
    """The two sides and their figures in per cent: rrfnet56 97.31, iresnet 96.08."""
    return ", ".join(f"{effect[side]['name']} {100 * effect[side]['figure']:.2f}" for side in ("a", "b"))


def counts_words(result: Mapping[str, Any]) -> str:
    """What a result was measured on: 6,000 pairs of 4,281 people."""
    redrawn = f", {result['num_redrawn']:,} resamples redrawn" if result["num_redrawn"] else ""
    return f"{result['num_pairs']:,} pairs of {result['num_identities']:,} people{redrawn}"


def margin_words(claim: Mapping[str, Any]) -> str:
    """What the claim lets A lose, empty for nothing; the same on every protocol."""
    margin = max((result.get("margin", 0.0) for result in claim["protocols"].values()), default=0.0)
    return f"Within a margin of {100 * margin:g} points." if margin else ""


def missing_words(claim: Mapping[str, Any]) -> dict[str, list[str]]:
    """What was missing -> the protocols that it was missing on."""
    found: dict[str, list[str]] = {}
    for protocol, result in claim["protocols"].items():
        if "missing" in result:
            found.setdefault(result["missing"], []).append(protocol)
    return found


def _block(name: str, claim: Mapping[str, Any]) -> str:
    measured = {protocol: result for protocol, result in claim["protocols"].items() if "effect" in result}
    lines = [f"{name}  {claim['text']} [{claim['paper']}]", margin_words(claim), claim["note"]]
    wrapped = [
        textwrap.fill(line, WIDTH, subsequent_indent="    ", initial_indent="    " * bool(number))
        for number, line in enumerate(lines)
        if line
    ]
    rows = [
        (
            protocol,
            result["verdict"],
            effect_words(part),
            sides_words(part),
            counts_words(result) if part is result else "",
        )
        for protocol, result in measured.items()
        for part in (result, *([result["beside"]] if "beside" in result else []))
    ]
    rows = [row if row[4] else ("", "beside it", *row[2:]) for row in rows]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    wrapped += [
        "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    for what, protocols in missing_words(claim).items():
        where = f" on {', '.join(protocols)}" if len(protocols) < len(claim["protocols"]) else ""
        wrapped.append(
            textwrap.fill(f"not measured{where}: {what}.", WIDTH, initial_indent="    ", subsequent_indent="    ")
        )
    return "\n".join(wrapped)
