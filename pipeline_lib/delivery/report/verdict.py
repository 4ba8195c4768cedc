"""One comparison in words, on a terminal and as a page, for somebody who must tell a person why two photographs matched."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_lib.delivery.report.areas import describe_patch
from pipeline_lib.delivery.report.html import data_uri, render

PROBABILITY_CAVEAT = (
    "The probability holds where pairs of one person and of two are equally frequent, as among the validation pairs it was "
    "fitted on. In a search through many people, or among relatives, a wrong match is far more likely than it says."
)
DECISION_CAVEAT = "A similarity is evidence, not an identification; a person decides, with the photographs in view."
MAX_AREAS_SHOWN = 8
BAR_CHARACTERS = 24


@dataclass(frozen=True)
class Verdict:
    """What the verifier said of one pair.

    `contributions`: x, y, w, h (px of the aligned face), contribution_a, contribution_b of each patch. `png` shows both faces
    and what carried the score. `model` is the name it answers to.
    """

    name_a: str
    name_b: str
    model: str
    similarity: float
    threshold: float
    match: bool
    probability: float
    contributions: Sequence[Mapping[str, Any]]
    png: bytes


@dataclass(frozen=True)
class AreaShare:
    """What the patches that show one part of the face add to the similarity (mean of both faces), and its share of it."""

    area: str
    contribution: float
    num_patches: int


def area_shares(contributions: Sequence[Mapping[str, Any]]) -> list[AreaShare]:
    """Contributions summed over the patches of one description, the largest first; together they are the similarity."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for patch in contributions:
        area = describe_patch(patch["x"], patch["y"], patch["w"], patch["h"])
        sums[area] += (patch["contribution_a"] + patch["contribution_b"]) / 2
        counts[area] += 1
    return [AreaShare(area, sums[area], counts[area]) for area in sorted(sums, key=lambda area: -sums[area])]


def headline(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if verdict.match:
        return "Match: the two faces are alike enough."
    return "No match: the two faces are not alike enough."


def why(verdict: Verdict) -> str:
    """In one or two sentences, which parts of the face the similarity comes from."""
    shares = area_shares(verdict.contributions)
    carrying = [share for share in shares if share.contribution > 0]
    if verdict.similarity <= 0 or not carrying:
        return "No part of the two faces is alike enough to add up to a similarity above 0."
    needed, total = [], 0.0
    for share in carrying:
        needed.append(share.area)
        total += share.contribution
        if total >= verdict.similarity / 2:
            break
    parts = "; ".join(needed)
    against = [share.area for share in shares if share.contribution < 0]
    sentence = f"At least half of the similarity comes from: {parts}."
    return f"{sentence} Against a match spoke: {'; '.join(against)}." if against else sentence


def as_text(verdict: Verdict) -> str:
    """For a terminal."""
    lines = [
        headline(verdict),
        "",
        f"  similarity   {verdict.similarity:6.3f}   from -1 to 1; a match is above the threshold {verdict.threshold:.3f}",
        f"  probability  {verdict.probability:6.1%}   that both show one person, if either was as likely beforehand",
        "",
        why(verdict),
        "",
        f"  What each part of the face adds (left and right as you see them); the sum is {verdict.similarity:.3f}",
    ]
    shares = area_shares(verdict.contributions)
    largest = max(abs(share.contribution) for share in shares) or 1.0
    shown = shares if len(shares) <= MAX_AREAS_SHOWN else [*shares[: MAX_AREAS_SHOWN - 1], shares[-1]]
    width = max(len(share.area) for share in shown)
    for share in shown:
        bar = "█" * round(BAR_CHARACTERS * abs(share.contribution) / largest)
        lines.append(
            f"  {share.contribution:+.3f}  {share.area:<{width}}  {bar if share.contribution >= 0 else f'({bar})'}"
        )
    if len(shown) < len(shares):
        rest = sum(share.contribution for share in shares[MAX_AREAS_SHOWN - 1 : -1])
        lines.append(f"  {rest:+.3f}  {len(shares) - len(shown)} other parts together")
    return "\n".join([*lines, "", PROBABILITY_CAVEAT, DECISION_CAVEAT, f"Model: {verdict.model}"])


def as_page(verdict: Verdict) -> str:
    """As one self-contained HTML page."""
    shares = area_shares(verdict.contributions)
    largest = max(abs(share.contribution) for share in shares) or 1.0
    values: dict[str, object] = {
        "verdict": verdict,
        "headline": headline(verdict),
        "why": why(verdict),
        "picture": data_uri(verdict.png),
        "shares": [(share, round(100 * abs(share.contribution) / largest)) for share in shares],
        "scale": [_percent(value) for value in (verdict.similarity, verdict.threshold)],
        "caveats": [PROBABILITY_CAVEAT, DECISION_CAVEAT],
    }
    return render("verdict.html.j2", values)


def _percent(similarity: float) -> float:
    """Place of a similarity on the drawn scale from -1 to 1, in percent of its width."""
    return round(50.0 * (1.0 + min(1.0, max(-1.0, similarity))), 2)
