"""One comparison in words, for somebody who must tell a person why two photographs matched."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.delivery.report.areas import describe_patch

DECISION_CAVEAT = "A similarity is evidence, not an identification; a person decides, with the photographs in view."
MAX_AREAS_SHOWN = 8
SHOWN = 5e-4  # below what is printed


@dataclass(frozen=True)
class Verdict:
    """What the verifier said of one pair.

    Attributes:
        name_a, name_b: the photographs'.
        model: the name it answers to.
        score: column of the score table that `similarity` is a value of.
        is_cosine: whether the similarity lies between -1 and 1.
        similarity, threshold, match, probability, prior, basis: see delivery.verifier.answers.Comparison; a model that was
            registered before there were others has even odds and gives no basis.
        explanation: what the contributions are, or that there are none and why.
        reliability: whether a second method points at the same parts; empty where nobody asked.
        contributions: x, y, w, h (px of the aligned face), contribution_a, contribution_b of each patch; may be empty.
        terms: (K, K), what each pair of patches adds; empty without contributions, and of a model that gives none.
        maps: float32 (2, 112, 112), signed; None where there is no map, and of a model that gives none.
        faces: the two aligned faces as PNG, which come with the maps.
        png: both faces and what carried the score, or what it reacts to; None where there is no map.
        note: what else must be known about the model; may be empty.
        warnings: what must be known of the photographs; see delivery.verifier.answers.Comparison.
        about: which model it is (delivery.verifier.about.About); None of an earlier model.
        photographs: of both, sha256, width, height (px), box (x0 y0 x1 y1, px) of the face that was compared, and distance from
            the photographs of the calibration; empty of an earlier model.
        shown: both whole photographs as JPEG.
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
    reliability: str = ""
    contributions: Sequence[Mapping[str, Any]] = ()
    terms: Sequence[Sequence[float]] = ()
    maps: npt.NDArray[np.float32] | None = None
    faces: tuple[bytes, bytes] | None = None
    png: bytes | None = None
    note: str = ""
    prior: float = 0.5
    basis: str = ""
    warnings: Sequence[str] = ()
    about: Mapping[str, str] | None = None
    photographs: Sequence[Mapping[str, Any]] = ()
    shown: tuple[bytes, bytes] | None = None


@dataclass(frozen=True)
class AreaShare:
    """What the patches that show one part of the face add: those of photograph A, and those of B, each to the whole score."""

    area: str
    of_a: float
    of_b: float


def area_shares(contributions: Sequence[Mapping[str, Any]]) -> list[AreaShare]:
    """Contributions summed over the patches of one description, the largest of A first; A's sum to what is explained, B's too."""
    of_a, of_b = defaultdict[str, float](float), defaultdict[str, float](float)
    for patch in contributions:
        area = describe_patch(patch["x"], patch["y"], patch["w"], patch["h"])
        of_a[area] += patch["contribution_a"]
        of_b[area] += patch["contribution_b"]
    return [AreaShare(area, of_a[area], of_b[area]) for area in sorted(of_a, key=lambda area: -of_a[area])]


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


def beforehand(prior: float) -> str:
    """What a probability takes for granted."""
    if abs(prior - 0.5) < 0.02:  # of the pairs it was fitted on, some may have lacked a face
        return "pairs of one person and of two are equally frequent"
    if prior < 0.1:
        return f"one pair in {1 / prior:.0f} shows one person"
    return f"{100 * prior:.0f} % of the pairs show one person"


def probability_caveat(prior: float) -> str:
    """Where the probability holds, and where it misleads."""
    return (
        f"The probability holds where {beforehand(prior)}. In a search through many people, or among relatives, a wrong match is "
        "far more likely than it says."
    )


def why(verdict: Verdict) -> str:
    """Which parts of the face carried the score, and what that rests on; or that the model does not say."""
    if not verdict.contributions:
        return verdict.explanation
    shares = area_shares(verdict.contributions)
    explained = sum(share.of_a for share in shares)
    if explained <= 0:
        return f"No part of the two faces is alike enough to add up to more than 0. {verdict.explanation}"
    of_a, of_b = ({share.area: getattr(share, side) for share in shares} for side in ("of_a", "of_b"))
    what = "similarity" if abs(explained - verdict.similarity) <= SHOWN else "cosine"
    sentences = [_in_both(f"At least half of the {what} comes from", _carrying(of_a), _carrying(of_b))]
    against = [sorted(area for area, value in side.items() if value <= -SHOWN) for side in (of_a, of_b)]
    if any(against):
        sentences.append(_in_both("Against a match spoke", *against))
    return " ".join([*sentences, verdict.explanation])


def _carrying(shares: Mapping[str, float]) -> list[str]:
    """The fewest areas, the largest first, that make up half of the sum, which is above 0."""
    needed, total = [], 0.0
    for area in sorted(shares, key=lambda area: -shares[area]):
        needed.append(area)
        total += shares[area]
        if total >= sum(shares.values()) / 2:
            break
    return needed


def _in_both(begins: str, of_a: Sequence[str], of_b: Sequence[str]) -> str:
    """One list where both photographs have the same areas, else one each."""
    if set(of_a) == set(of_b):
        return f"{begins}: {'; '.join(of_a)}."
    return f"{begins}, in photograph A: {'; '.join(of_a) or 'nothing'}; in B: {'; '.join(of_b) or 'nothing'}."


def as_text(verdict: Verdict) -> str:
    """For a terminal."""
    lines = [
        headline(verdict),
        *(f"Mind: {text}" for text in verdict.warnings),
        "",
        f"  similarity   {verdict.similarity:6.3f}   {scale(verdict)}; a match is above the threshold {verdict.threshold:.3f}",
        f"  probability  {chance(verdict.probability):>8} that both show one person, where {beforehand(verdict.prior)}",
        "",
        why(verdict),
        *([verdict.reliability] if verdict.reliability else []),
        *_areas_as_lines(area_shares(verdict.contributions)),
    ]
    files = [f"{name}: {text}" for name, text in zip("AB", files_in_words(verdict), strict=False)]
    return "\n".join([*lines, "", *caveats(verdict), *rests_on(verdict), *files])


def model_in_words(verdict: Verdict) -> list[str]:
    """Which model answered, and what it was made from."""
    asked = f"{verdict.model}, score {verdict.score}"
    if verdict.about is None:
        return [f"Model: {asked}"]
    about = verdict.about
    version = f" version {about['version']}" if about["version"] else ""
    commit = f", commit {about['commit'][:12]}" if about["commit"] else ""
    return [
        f"Model: {about['name']}{version} ({asked}), of {about['made']}{commit}; networks: {about['networks']}",
        f"Trained on: {about['trained_on']}",
        f"Calibrated on: {about['calibrated_on']}",
    ]


def files_in_words(verdict: Verdict) -> list[str]:
    """Name, size and digest of each photograph; empty where the model did not say."""
    names = verdict.name_a, verdict.name_b
    return [
        f"{name}, {one['width']} x {one['height']} px, SHA-256 {one['sha256'] or 'none: pixels without a file'}"
        for name, one in zip(names, verdict.photographs, strict=False)
    ]


def caveats(verdict: Verdict) -> list[str]:
    """What must be said beside a verdict."""
    return [DECISION_CAVEAT, probability_caveat(verdict.prior)]


def rests_on(verdict: Verdict) -> list[str]:
    """What the verdict stands on: how often the threshold errs, which model answered, and which files it was asked about."""
    said = [verdict.basis, verdict.note, *model_in_words(verdict)]
    return [text for text in said if text]


def _areas_as_lines(shares: Sequence[AreaShare]) -> list[str]:
    """The largest areas and the smallest, and the rest in one line; nothing where there are none."""
    if not shares:
        return []
    total = sum(share.of_a for share in shares)
    shown = shares if len(shares) <= MAX_AREAS_SHOWN else [*shares[: MAX_AREAS_SHOWN - 1], shares[-1]]
    lines = [
        "",
        "  What each part of the face adds (left and right as you see them), split over A's patches and over B's;",
        f"  each of the two columns adds up to {total:.3f}",
        "    in A    in B",
        *(f"  {share.of_a:+.3f}  {share.of_b:+.3f}  {share.area}" for share in shown),
    ]
    if len(shown) < len(shares):
        rest = shares[MAX_AREAS_SHOWN - 1 : -1]
        of_a, of_b = sum(share.of_a for share in rest), sum(share.of_b for share in rest)
        lines.append(f"  {of_a:+.3f}  {of_b:+.3f}  {len(rest)} other parts together")
    return lines
