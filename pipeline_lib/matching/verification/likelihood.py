"""What likelihood ratios are worth: Cllr (Brümmer, du Preez 2006, Application-independent evaluation of speaker detection)."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import check_scores
from pipeline_lib.matching.verification.isotonic_curve import pooled


def cllr(log_ratios: npt.ArrayLike, genuine: npt.ArrayLike) -> float:
    """The cost of natural logarithms of likelihood ratios, in bits a pair (their eq. 21):

        Cllr = ½ (mean over genuine of log2(1 + 1/LR) + mean over impostors of log2(1 + LR))

    0 is certain and right, 1 is LR = 1 everywhere (nothing told), more is worse than telling nothing.

    Args:
        log_ratios: (N,) finite.
        genuine: bool (N,).

    Raises:
        DataError: see check_scores.
    """
    values, labels = check_scores(log_ratios, genuine)
    costs = np.logaddexp(0.0, np.where(labels, -values, values)) / np.log(2.0)
    return float((costs[labels].mean() + costs[~labels].mean()) / 2)


def min_cllr(scores: npt.ArrayLike, genuine: npt.ArrayLike) -> float:
    """The Cllr of the best ratios that never fall with the score, found on these pairs themselves: what no calibration can
    mend (their section 4). In [0, 1].

    In a block of pooled pairs with a share p of genuine ones, LR = p/(1-p) · I/G; blocks of one class cost nothing.

    Args, raises: as cllr, of scores.
    """
    values, labels = check_scores(scores, genuine)
    blocks = pooled(values, labels.astype(np.float64))
    num_genuine, num_impostor = labels.sum(), (~labels).sum()
    both = (blocks.means > 0) & (blocks.means < 1)
    share, size = blocks.means[both], blocks.sizes[both]
    log_ratios = np.log(share / (1 - share)) + np.log(num_impostor / num_genuine)
    of_genuine = np.sum(size * share * np.logaddexp(0.0, -log_ratios)) / num_genuine
    of_impostor = np.sum(size * (1 - share) * np.logaddexp(0.0, log_ratios)) / num_impostor
    return float((of_genuine + of_impostor) / (2 * np.log(2.0)))


def probabilities(log_ratios: npt.ArrayLike, share: float) -> npt.NDArray[np.float64]:
    """P(genuine) where a share of the pairs in (0, 1) is genuine, by Bayes' rule.

    Raises:
        DataError: the share is no share of both.
    """
    if not 0 < share < 1:
        raise DataError("A prior is a share of both classes.", got=share, allowed="above 0, below 1")
    from scipy.special import expit

    return np.asarray(expit(np.asarray(log_ratios, np.float64) + np.log(share / (1 - share))))
