"""The ledger in words: the parts that a terminal and the report share, and the text that `face-verifier claims` prints."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH, INDENT = 110, "    "
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
    """A - B with its interval: +1.23 points of AUC (95 %: −0.20 to +2.10); of logarithms, a ratio: 117 times the time."""
    value, low, high = (effect[key] for key in ("effect", "low", "high"))
    if effect["unit"] != "share":
        return f"{10**value:.3g} times the {effect['measure']} (95 %: {10**low:.3g} to {10**high:.3g})"
    return f"{points(value)} points of {effect['measure']} (95 %: {points(low)} to {points(high)})"


def sides_words(effect: Mapping[str, Any]) -> str:
    """The two sides and their figures: A rrfnet56 97.31, B iresnet 96.08 in per cent; A xface 12.5 s, B xssab 0.24 s."""
    return ", ".join(f"{side.upper()} {effect[side]['name']} {_figure(effect, side)}" for side in ("a", "b"))


def counts_words(result: Mapping[str, Any]) -> str:
    """What a result was measured on: 6,000 pairs of 4,281 people."""
    num = result["num_redrawn"]
    redrawn = f", {num:,} resample{'s' if num > 1 else ''} redrawn" if num else ""
    return f"{result['num_pairs']:,} {result['counted']} of {result['num_identities']:,} people{redrawn}"


def margin_words(claim: Mapping[str, Any]) -> str:
    """What the claim lets A lose, or demands of A; empty for neither; the same on every protocol."""
    measured = [result for result in claim["protocols"].values() if result.get("margin")]
    if not measured:
        return ""
    margin = measured[0]["margin"]
    if measured[0]["unit"] == "log10 s":
        return f"A has to take more than {10**-margin:g} times B's."
    return f"Within a margin of {100 * margin:g} points."


def missing_words(claim: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The protocols that something was missing on (empty for all), and what it was."""
    found: dict[str, list[str]] = {}
    for protocol, result in claim["protocols"].items():
        if "missing" in result:
            found.setdefault(result["missing"], []).append(protocol)
    num_all = len(claim["protocols"])
    return [("" if len(where) == num_all else ", ".join(where), what) for what, where in found.items()]


def _figure(effect: Mapping[str, Any], side: str) -> str:
    figure = effect[side]["figure"]
    if effect["unit"] == "share":
        return f"{100 * figure:.2f}"
    return f"{10**figure:.3g}" + (" s" if effect["unit"] == "log10 s" else "")


def _block(name: str, claim: Mapping[str, Any]) -> str:
    notes = [line for line in (margin_words(claim), claim["note"]) if line]
    rows = [row for protocol, result in claim["protocols"].items() for row in _rows(protocol, result)]
    missing = [f"not measured{' on ' * bool(where)}{where}: {what}." for where, what in missing_words(claim)]
    head = _filled(f"{name}  {claim['text']} [{claim['paper']}]", "")
    return "\n".join([head, *map(_filled, notes), *_aligned(rows), *map(_filled, missing)])


def _rows(protocol: str, result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The cells of a measured result's line, and those of what stands beside it."""
    if "effect" in result:
        yield protocol, result["verdict"], effect_words(result), sides_words(result), counts_words(result)
    if "beside" in result:
        yield "", "beside it", effect_words(result["beside"]), sides_words(result["beside"]), ""


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return [INDENT + "  ".join(row).rstrip() for row in cells]


def _filled(line: str, indent: str = INDENT) -> str:
    kept = line.replace(" %", "\u00a0%")
    return textwrap.fill(kept, WIDTH, initial_indent=indent, subsequent_indent=INDENT).replace("\u00a0", " ")
