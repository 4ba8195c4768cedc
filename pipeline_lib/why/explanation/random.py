"""A map that knows nothing: the floor every explanation must beat."""

import numpy as np
import numpy.typing as npt


def random_map(rng: np.random.Generator, size: int = 112) -> npt.NDArray[np.float64]:
    """Draw every pixel's saliency on its own, uniformly from [0, 1).

    Args:
        rng: the random generator; its state fixes the map.
        size: side of the aligned image, px.

    Returns:
        (size, size) float64.

    METHODS section 8. Pixels are drawn singly, not in patches: insertion and deletion then take a uniform sample of the
    face at every step, which favours neither centre nor border.
    """
    return rng.random((size, size))
