"""The blur of the papers' maps: xFace's (Knoche et al.), which xSSAB takes over for its pictures."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.why.explanation.shared.explanation import Maps

BLUR_PX, BLUR_SIGMA_PX = 5, 5.0


def blurred(maps: npt.NDArray[np.floating]) -> Maps:
    """Gaussian blur of 5x5 px, sigma 5 px, of each map (N, 112, 112), mirrored at the border; float32."""
    return np.stack([cv2.GaussianBlur(one, (BLUR_PX, BLUR_PX), BLUR_SIGMA_PX) for one in maps]).astype(np.float32)
