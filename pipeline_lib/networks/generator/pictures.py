"""A generator's fakes as pictures: a sheet of them, and those that come nearest to a training face beside it."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

SHEET_SIDE = 8  # faces
NUM_SHOWN = 8  # fakes of a strip
FRAME_PX, GAP_PX = 4, 2
COPY, OTHER = (213, 94, 0), (93, 104, 115)  # orange, grey
WHITE = (255, 255, 255)

Images = npt.NDArray[np.uint8]


def draw_sheet(fakes: Images) -> Images:
    """The first 64 of uint8 (N,S,S,3) as 8 x 8, uint8 (8S,8S,3)."""
    rows = fakes[: SHEET_SIDE**2].reshape(SHEET_SIDE, SHEET_SIDE, *fakes.shape[1:])
    return np.vstack([np.hstack(list(row)) for row in rows])


def draw_strip(fakes: Images, training: Images, are_copies: Sequence[bool]) -> Images:
    """Fakes above, below each the training face nearest to it; in an orange frame where the fake is called a copy.

    Args:
        fakes, training: uint8 (n,S,S,3), RGB.
        are_copies: n.

    Returns:
        uint8 (H,W,3).
    """
    rows = [
        np.hstack([_framed(face, COPY if copied else OTHER) for face, copied in zip(faces, are_copies, strict=True)])
        for faces in (fakes, training)
    ]
    return np.vstack(rows)


def _framed(image: Images, colour: tuple[int, int, int]) -> Images:
    framed = cv2.copyMakeBorder(image, *(FRAME_PX,) * 4, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(cv2.copyMakeBorder(framed, *(GAP_PX,) * 4, cv2.BORDER_CONSTANT, value=WHITE), np.uint8)
