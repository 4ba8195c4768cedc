"""From which score on a face is somebody of a gallery: by how often that may be wrong of somebody who is not in it."""

from dataclasses import dataclass

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.impostors import Impostors, pair_rate, search_rate


@dataclass(frozen=True)
class Limit:
    """A search's threshold.

    Attributes:
        threshold: a face is somebody's of the gallery above it.
        fpir: the false-positive identification rate that was asked for.
        fmr: that of a pair, which gives it.
        bound: None where the impostors behind the calibration can show that rate; else the FPIR that they can: that at this
            threshold, the highest score among them, is below it, 95 % of the time.
    """

    threshold: float
    fpir: float
    fmr: float
    bound: float | None


def limit(impostors: Impostors | None, fpir: float, num_photographs: int) -> Limit:
    """The threshold at which 1 - (1 - FMR)^N is `fpir`.

    N counts photographs, not people: each is compared. Those of one person resemble each other, so the true rate of a gallery of
    many photographs a person is lower.

    Args:
        impostors: the verifier's.
        fpir: in (0, 1).
        num_photographs: N >= 1.

    Raises:
        DataError: the verifier has none.
    """
    if impostors is None:
        raise DataError(
            "The model does not say how high two people's faces score, so no threshold follows for a gallery.",
            allowed="a model that this version registered, of validation photographs of two people or more: `make repro`",
        )
    fmr = pair_rate(fpir, num_photographs)
    shown = fmr >= impostors.least_rate
    bound = None if shown else search_rate(impostors.least_rate, num_photographs)
    return Limit(impostors.threshold(fmr) if shown else float(impostors.thresholds[0]), fpir, fmr, bound)


def stranger_share(impostors: Impostors, score: float, num_photographs: int) -> float:
    """How often, at most, somebody who is not among N photographs would score so high with one of them."""
    return search_rate(impostors.rate(score), num_photographs)
