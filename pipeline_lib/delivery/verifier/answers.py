"""What the verifier answers: one comparison, and what each part of the faces adds to it."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Contribution:
    """What one patch adds to the explained score: x y w h in px of the aligned 112x112 faces; each column sums to it."""

    x: int
    y: int
    w: int
    h: int
    contribution_a: float
    contribution_b: float


@dataclass(frozen=True)
class Comparison:
    """One pair's answer.

    Attributes:
        threshold: a match is above it.
        similarity: the score; None on an error, as match and probability are.
        match: whether similarity > threshold.
        probability: that both show one person, if that was as likely beforehand as `prior` says.
        prior: see matching.verification.calibration.Calibration.
        basis: how the threshold was chosen and what it lets through.
        error: why there is no figure.
        explanation: where it was asked for, what the map or the contributions are, or that there are none and why.
        method: the explanation's kind; None where there is no map.
        reliability: whether a second method points at the same parts, where that was asked for and there is a map.
        contributions: one a patch, in the order of the network's grid; empty where the method is no sum over patches.
        terms: (K, K), what each pair of patches (row of A, column of B) adds; their rows sum to the contributions of A, their
            columns to those of B; empty without contributions.
        maps: float32 (2, 112, 112), signed, see why.explanation; None where there is none.
        faces: both aligned faces as PNG, 112x112, over which the maps lie; None where there is no map.
        png: both faces and what carried the score, or what the score reacts to; None where there is no map,
            and where none was to be drawn.
    """

    threshold: float
    similarity: float | None = None
    match: bool | None = None
    probability: float | None = None
    prior: float | None = None
    basis: str | None = None
    error: str | None = None
    explanation: str | None = None
    method: str | None = None
    reliability: str | None = None
    contributions: tuple[Contribution, ...] = ()
    terms: tuple[tuple[float, ...], ...] = ()
    maps: npt.NDArray[np.float32] | None = field(
        default=None, compare=False
    )  # `png`, which is drawn from it, is compared
    faces: tuple[bytes, bytes] | None = None
    png: bytes | None = None


PICTURES = ("face_a", "face_b", "png")
EXPLAINED = ("prior", "basis", "explanation", "method", "reliability", "contributions", "terms", "maps", *PICTURES)


def explained_columns(answer: Comparison) -> dict[str, Any]:
    """What an explained answer has beside its figures, by the names of EXPLAINED; None for what it lacks. PICTURES are bytes."""
    face_a, face_b = answer.faces or (None, None)
    columns = {
        "contributions": [asdict(part) for part in answer.contributions] or None,
        "terms": [list(row) for row in answer.terms] or None,
        "maps": None if answer.maps is None else answer.maps.tolist(),
        "face_a": face_a,
        "face_b": face_b,
    }
    return {name: columns[name] if name in columns else getattr(answer, name) for name in EXPLAINED}
