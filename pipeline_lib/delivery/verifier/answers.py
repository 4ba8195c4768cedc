"""What the verifier answers: one comparison, and what each part of the faces adds to it."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.delivery.verifier.about import About
from pipeline_lib.delivery.verifier.photograph import Photograph


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
class Rates:
    """How often the threshold is wrong on the pairs that it was calibrated on: counts, at most, and of how many.

    Attributes:
        false_matches, num_impostor: pairs of two people above it.
        false_non_matches, num_genuine: pairs of one person not above it; None where the model does not know.
    """

    false_matches: int
    num_impostor: int
    false_non_matches: int | None
    num_genuine: int | None


@dataclass(frozen=True)
class Comparison:
    """One pair's answer.

    Attributes:
        threshold: a match is above it.
        similarity: the score; None on an error, as match and probability are.
        match: whether similarity > threshold.
        probability: that both show one person, if that was as likely beforehand as `prior` says.
        error: why there is no figure.
        warnings: what a person must know before they use the answer: one photograph twice, or one unlike those that the model
            was calibrated on.
        score: the column of the score table that the similarity is a value of.
        is_cosine: whether it lies between -1 and 1.
        note: what else must be known about the model; may be empty.
        about: which model it is; None of a model that an earlier version registered.
        rates: at the threshold.
        photographs: both; None on an error.
        prior: see matching.verification.calibration.Calibration.
        basis: how the threshold was chosen and what it lets through.
        explanation: where it was asked for, what the map or the contributions are, or that there are none and why.
        method: the explanation's kind; None where there is no map.
        reliability: whether a second method points at the same parts, where that was asked for and there is a map.
        contributions: one a patch, in the order of the network's grid; empty where the method is no sum over patches.
        terms: (K, K), what each pair of patches (row of A, column of B) adds; their rows sum to the contributions of A, their
            columns to those of B; empty without contributions.
        maps: float32 (2, 112, 112), signed, see why.explanation; None where there is none.
        faces: both aligned faces as PNG, 112x112, over which the maps lie; None where there is no map.
        shown: both whole photographs as JPEG, made smaller; None where no explanation was asked for.
        png: both faces and what carried the score, or what the score reacts to; None where there is no map, and where none was to
            be drawn.
    """

    threshold: float
    similarity: float | None = None
    match: bool | None = None
    probability: float | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    score: str = ""
    is_cosine: bool = True
    note: str = ""
    about: About | None = None
    rates: Rates | None = None
    photographs: tuple[Photograph, Photograph] | None = None
    prior: float | None = None
    basis: str | None = None
    explanation: str | None = None
    method: str | None = None
    reliability: str | None = None
    contributions: tuple[Contribution, ...] = ()
    terms: tuple[tuple[float, ...], ...] = ()
    maps: npt.NDArray[np.float32] | None = field(
        default=None, compare=False
    )  # `png`, which is drawn from it, is compared
    faces: tuple[bytes, bytes] | None = None
    shown: tuple[bytes, bytes] | None = None
    png: bytes | None = None


FIGURES = ("similarity", "threshold", "match", "probability", "error", "warnings")
PICTURES = ("face_a", "face_b", "photo_a", "photo_b", "png")
EXPLAINED = (
    *("score", "is_cosine", "note", "about", "rates", "photographs", "prior", "basis"),
    *("explanation", "method", "reliability", "contributions", "terms", "maps"),
    *PICTURES,
)


def as_row(answer: Comparison, explained: bool) -> dict[str, Any]:
    """The answer as values that JSON has, by the names of FIGURES and, where it was explained, of EXPLAINED; None for what it
    lacks. PICTURES are bytes.
    """
    face_a, face_b = answer.faces or (None, None)
    photo_a, photo_b = answer.shown or (None, None)
    columns = {
        "warnings": list(answer.warnings),
        "about": None if answer.about is None else answer.about.model_dump(),
        "rates": None if answer.rates is None else asdict(answer.rates),
        "photographs": None if answer.photographs is None else [_listed(one) for one in answer.photographs],
        "contributions": [asdict(part) for part in answer.contributions] or None,
        "terms": [list(row) for row in answer.terms] or None,
        "maps": None if answer.maps is None else answer.maps.tolist(),
        "face_a": face_a,
        "face_b": face_b,
        "photo_a": photo_a,
        "photo_b": photo_b,
    }
    names = (*FIGURES, *EXPLAINED) if explained else FIGURES
    return {name: columns[name] if name in columns else getattr(answer, name) for name in names}


def _listed(photograph: Photograph) -> dict[str, Any]:
    return {**asdict(photograph), "box": list(photograph.box)}
