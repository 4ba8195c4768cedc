"""One comparison in words, for somebody who must tell a person why two photographs matched."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_lib.delivery.report.areas import describe_patch

PROBABILITY_CAVEAT = (
    "The probability holds where pairs of one person and of two are equally frequent, as among the pairs it was "
    "fitted on. In a search through many people, or among relatives, a wrong match is far more likely than it says."
)
DECISION_CAVEAT = "A similarity is evidence, not an identification; a person decides, with the photographs in view."
MAX_AREAS_SHOWN = 8
BAR_CHARACTERS = 24
SHOWN = 5e-4  # below what is printed


@dataclass(frozen=True)
class Verdict:
    """What the verifier said of one pair.

    Attributes:
        name_a, name_b: the photographs'.
        model: the name it answers to.
        score: column of the score table that `similarity` is a value of.
        is_cosine: whether the similarity lies between -1 and 1.
        similarity, threshold, match, probability: see delivery.verifier.answers.Comparison.
        explanation: what the contributions are, or that there are none and why.
        contributions: x, y, w, h (px of the aligned face), contribution_a, contribution_b of each patch; may be empty.
        png: both faces and what carried the score, or what it reacts to; None where there is no map.
        note: what else must be known about the model; may be empty.
    """

    name_a: str
    name_b: str
    model: str
    score: str
    is_cosine: bool
    similarity: float
    threshold: float
    match: bool
    probability: float
    explanation: str
    contributions: Sequence[Mapping[str, Any]] = ()
    png: bytes | None = None
    note: str = ""


@dataclass(frozen=True)
class AreaShare:
    """What the patches that show one part of the face add to the explained score (mean of both faces)."""

    area: str
    contribution: float
    num_patches: int


def area_shares(contributions: Sequence[Mapping[str, Any]]) -> list[AreaShare]:
    """Contributions summed over the patches of one description, the largest first; together they are what is explained."""
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


def scale(verdict: Verdict) -> str:
    """What the similarity may be."""
    return "from -1 to 1" if verdict.is_cosine else "higher is more alike"


def chance(probability: float) -> str:
    """A probability in per cent; no curve fitted on some thousand pairs knows that it is all or nothing."""
    return "> 99.9 %" if probability > 0.999 else "< 0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %"


def why(verdict: Verdict) -> str:
    """Which parts of the face carried the score, and what that rests on; or that the model does not say."""
    if not verdict.contributions:
        return verdict.explanation
    shares = area_shares(verdict.contributions)
    explained = sum(share.contribution for share in shares)
    carrying = [share for share in shares if share.contribution > 0]
    if explained <= 0 or not carrying:
        return f"No part of the two faces is alike enough to add up to more than 0. {verdict.explanation}"
    needed, total = [], 0.0
    for share in carrying:
        needed.append(share.area)
        total += share.contribution
        if total >= explained / 2:
            break
    against = [share.area for share in shares if share.contribution < 0]
    what = "similarity" if abs(explained - verdict.similarity) <= SHOWN else "cosine"
    sentences = [f"At least half of the {what} comes from: {'; '.join(needed)}."]
    if against:
        sentences.append(f"Against a match spoke: {'; '.join(against)}.")
    return " ".join([*sentences, verdict.explanation])


def as_text(verdict: Verdict) -> str:
    """For a terminal."""
    lines = [
        headline(verdict),
        "",
        f"  similarity   {verdict.similarity:6.3f}   {scale(verdict)}; a match is above the threshold {verdict.threshold:.3f}",
        f"  probability  {chance(verdict.probability):>8} that both show one person, if either was as likely beforehand",
        "",
        why(verdict),
        *_areas_as_lines(area_shares(verdict.contributions)),
    ]
    note = [verdict.note] if verdict.note else []
    return "\n".join(
        [*lines, "", PROBABILITY_CAVEAT, DECISION_CAVEAT, *note, f"Model: {verdict.model}, score {verdict.score}"]
    )


def _areas_as_lines(shares: Sequence[AreaShare]) -> list[str]:
    """The largest areas with a bar each, and the rest in one line; nothing where there are none."""
    if not shares:
        return []
    total = sum(share.contribution for share in shares)
    largest = max(abs(share.contribution) for share in shares) or 1.0
    shown = shares if len(shares) <= MAX_AREAS_SHOWN else [*shares[: MAX_AREAS_SHOWN - 1], shares[-1]]
    width = max(len(share.area) for share in shown)
    lines = ["", f"  What each part of the face adds (left and right as you see them); the sum is {total:.3f}"]
    for share in shown:
        bar = "█" * round(BAR_CHARACTERS * abs(share.contribution) / largest)
        lines.append(
            f"  {share.contribution:+.3f}  {share.area:<{width}}  {bar if share.contribution >= 0 else f'({bar})'}"
        )
    if len(shown) < len(shares):
        rest = sum(share.contribution for share in shares[MAX_AREAS_SHOWN - 1 : -1])
        lines.append(f"  {rest:+.3f}  {len(shares) - len(shown)} other parts together")
    return lines
