"""What the verifier answers: one comparison, and what each part of the faces adds to it."""

from dataclasses import dataclass


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
        probability: that both show one person, if that was as likely as not beforehand.
        error: why there is no figure.
        explanation: where it was asked for, what the contributions are, or that there are none and why.
        contributions: empty where the network is no sum over patches.
        png: both faces and what carried the score, or what the score reacts to; None where there is no map.
    """

    threshold: float
    similarity: float | None = None
    match: bool | None = None
    probability: float | None = None
    error: str | None = None
    explanation: str | None = None
    contributions: tuple[Contribution, ...] = ()
    png: bytes | None = None
