"""Right and wrong decisions of pairs of which a share is blurred (RRFNet Fig. 4, 5)."""

import numpy as np
import numpy.typing as npt

SHARES = tuple(step / 20 for step in range(11))  # of the face that is blurred: 0, 5, ..., 50 %
SHOWN_SHARE = 0.2  # of which tables and claims speak; the paper draws curves and names none


def errors(scores: npt.ArrayLike, threshold: npt.ArrayLike, genuine: bool) -> npt.NDArray[np.bool_]:
    """Which scores are decided wrongly, where one at or above the threshold is a match.

    Args:
        scores: any shape.
        threshold: one, or of a shape that fits.
        genuine: of all the pairs; the mean of the result is their FNR, that of impostor pairs their FPR.
    """
    return np.asarray((np.asarray(scores) >= np.asarray(threshold)) != genuine)
