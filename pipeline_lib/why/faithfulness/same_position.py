"""Where in the other face the partners of a face's patches lie (RRFNet Table IV)."""

import numpy as np
import numpy.typing as npt


def same_position_share(terms: npt.NDArray[np.float64]) -> float:
    """The share of patches, of both images, whose most similar patch of the other image is at their own position.

        share = (#{i: argmax_j M[i, j] = i} + #{j: argmax_i M[i, j] = j}) / 2K

    Similar is what the score sums, the dot product of patch vectors (RRFNet eq. 5 to 8); the paper does not say more. Of equally
    similar patches the first counts.

    Args:
        terms: (K, K), row = patch of A, column = patch of B (patch_terms.contribution_matrix).

    Returns:
        In [0, 1]; 1/K by chance.
    """
    places = np.arange(len(terms))
    return float(np.mean([terms.argmax(axis=1) == places, terms.argmax(axis=0) == places]))
