"""A score's terms as whole numbers of one small unit, so that what a page prints adds up digit by digit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.delivery.report.areas import describe_patch

MIN_DECIMALS, MAX_DECIMALS = 4, 7


@dataclass(frozen=True)
class Part:
    """A part of one photograph's face and what it adds.

    Attributes:
        area: in words.
        patches: indices of its patches.
        units: what they add, in 10^-decimals of the score.
        start: the sum of the parts before it, likewise.
    """

    area: str
    patches: tuple[int, ...]
    units: int
    start: int


@dataclass(frozen=True)
class Sums:
    """One score, split twice: over the K patches of A and over those of B.

    Attributes:
        decimals: of every printed figure; a unit is 10^-decimals.
        terms: int64 (K, K), units of each pair of patches; the sum over all is the score in units.
        boxes: (K, 4), x y w h px.
    """

    decimals: int
    terms: npt.NDArray[np.int64]
    boxes: Sequence[tuple[int, int, int, int]]

    @property
    def total(self) -> int:
        """The explained score, in units."""
        return int(self.terms.sum())

    def of(self, side: str) -> npt.NDArray[np.int64]:
        """What each patch adds, int64 (K,) units, in photograph "a" or "b"; they sum to the total."""
        units: npt.NDArray[np.int64] = self.terms.sum(axis=1 if side == "a" else 0)
        return units

    def parts(self, side: str) -> list[Part]:
        """The patches of one photograph by the part of the face that they show, the strongest support first."""
        units, of_area = self.of(side), dict[str, list[int]]()
        for patch, area in enumerate(self.places()):
            of_area.setdefault(area, []).append(patch)
        sums = sorted(((int(units[patches].sum()), area) for area, patches in of_area.items()), key=lambda one: -one[0])
        starts = np.cumsum([0, *(value for value, _ in sums)]).tolist()
        return [
            Part(area, tuple(of_area[area]), value, start) for (value, area), start in zip(sums, starts, strict=False)
        ]

    def places(self) -> list[str]:
        """What each patch shows, in words."""
        return [describe_patch(*box) for box in self.boxes]

    def printed(self, units: int) -> str:
        """With its sign and all decimals."""
        return f"{units / 10**self.decimals:+.{self.decimals}f}"


def sums_of(terms: Sequence[Sequence[float]], contributions: Sequence[Mapping[str, Any]]) -> Sums:
    """Round terms (K, K) so that their sum is the rounded score: the largest remainders are rounded up.

    Each whole number is less than one unit from its term; a unit is below a tenth of the score's mean term.

    Args:
        terms: (K, K), what each pair of patches adds.
        contributions: with the x, y, w, h of each patch, in the same order.
    """
    exact = np.asarray(terms, np.float64)
    decimals = min(MAX_DECIMALS, max(MIN_DECIMALS, 1 + int(np.ceil(np.log10(exact.size)))))
    scaled = exact.ravel() * 10**decimals
    units = np.floor(scaled).astype(np.int64)
    num_up = round(float(scaled.sum())) - int(units.sum())
    units[np.argsort(units - scaled, kind="stable")[:num_up]] += 1
    boxes = [(part["x"], part["y"], part["w"], part["h"]) for part in contributions]
    return Sums(decimals, units.reshape(exact.shape), boxes)
