"""The aligned face: its size, and where its five points lie (METHODS, section 1)."""

import numpy as np
import numpy.typing as npt

FACE_PX = 112
FACE_SHAPE = (FACE_PX, FACE_PX, 3)

# Left eye, right eye, nose tip, mouth corners (left and right as seen in the picture), x y in px.
TEMPLATE: npt.NDArray[np.float32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
