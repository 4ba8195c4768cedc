"""P@1, R-precision and MAP@R of ranked lists."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Precisions:
    """Of each query, float64 (Q,); NaN where its gallery has no relevant image.

    Attributes:
        p_at_1: 1 where the first place is relevant, else 0.
        rp: R-precision.
        map_at_r: MAP@R.
    """

    p_at_1: Doubles
    rp: Doubles
    map_at_r: Doubles


def precisions(relevant: npt.NDArray[np.bool_], num_relevant: npt.NDArray[np.int64]) -> Precisions:
    """Score ranked lists.

    With R relevant images in the gallery and rel(k) = 1 if the image at rank k is one:
    P@1 = rel(1),  RP = (1/R) Σ_{k<=R} rel(k),  MAP@R = (1/R) Σ_{k<=R} rel(k) · (1/k) Σ_{l<=k} rel(l).

    Args:
        relevant: bool (Q, depth), the ranked lists, best first.
        num_relevant: int64 (Q,), R of each query in the whole gallery. In same-set mode the query itself is neither in its
            list nor counted.

    Raises:
        DataError: a list is shorter than its R (its metrics would be guesses), holds more relevant images than R, or no
            query has a relevant image.

    METHODS section 7; MAP@R as in "A metric learning reality check" (Musgrave et al., 2020), eq. 2.
    """
    num_queries, depth = relevant.shape
    if num_relevant.shape != (num_queries,):
        raise DataError("Each ranked list needs its number of relevant images.", got=num_relevant.shape)
    if not (num_relevant >= 1).any():
        raise DataError("No query has a relevant image in the gallery, so nothing can be measured.", got=num_queries)
    if num_relevant.max() > depth:
        raise DataError("Ranked lists are too short.", got=f"{depth} ranks", allowed=f">= R = {num_relevant.max()}")
    if (relevant.sum(axis=1) > num_relevant).any():
        query = int(np.flatnonzero(relevant.sum(axis=1) > num_relevant)[0])
        raise DataError("A list holds more relevant images than the gallery.", got=f"query {query}")
    total = np.where(num_relevant >= 1, num_relevant, np.nan)
    ranks = np.arange(1, depth + 1)
    within = relevant & (ranks <= num_relevant[:, None])
    precision = np.cumsum(relevant, axis=1) / ranks
    first = np.where(np.isnan(total), np.nan, relevant[:, 0])
    return Precisions(first, within.sum(axis=1) / total, (within * precision).sum(axis=1) / total)
