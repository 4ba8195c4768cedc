"""A schematic face in the aligned image, drawn with lines from the five points of the alignment template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import TEMPLATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = npt.NDArray[np.float64]
Offsets = Sequence[tuple[float, float]]
OUTLINE_TOP, OUTLINE_BOTTOM = 1.0, 119.0  # the chin lies under the lower edge of the aligned image

# Offsets in px from an anchor, for the right half of the picture; the left half is their mirror image.
_CONTOUR: Offsets = [
    (0, 2),
    (15, 4),
    (28, 12),
    (36.5, 26),
    (40, 42),
    (40.5, 60),
    (38, 80),
    (32, 97),
    (22, 110),
    (11, 117),
    (0, 119),
]
_EAR = [(40.3, 49), (44.5, 45.5), (46, 52), (44, 63), (40.5, 68)]
_UPPER_LID = [(-8.5, 1.8), (-5, -2.4), (0, -4.2), (5, -2.8), (9.5, 0.2)]
_LOWER_LID = [(-8.5, 1.8), (-4, 3.3), (1, 3.6), (5.5, 2.6), (9.5, 0.2)]
_BROW = [(-10, -10.5), (-3, -13.6), (5, -14), (12.5, -9.5)]
_BRIDGE = [(5.6, -21), (4.2, -15), (4, -9), (5, -4)]
_NOSTRIL = [(7.4, -3), (9.6, 0.6), (9.2, 4.2), (6.6, 5), (4.6, 3.8)]
_NOSE_TIP = [(-4.2, 5.2), (-1.8, 7), (0, 7.5), (1.8, 7), (4.2, 5.2)]
# Between the mouth's corners, x as a share of half its width.
_LIP_LINE: Offsets = [(-1, 0), (-0.5, -0.8), (0, 0.3), (0.5, -0.8), (1, 0)]
_UPPER_LIP: Offsets = [(-1, 0), (-0.45, -4), (-0.18, -5.2), (0, -4.4), (0.18, -5.2), (0.45, -4), (1, 0)]
_LOWER_LIP: Offsets = [(-1, 0), (-0.55, 5), (0, 7), (0.55, 5), (1, 0)]


def draw_face(axis: "Axes", colour: str) -> None:
    """Draw contour, ears, brows, eyes, nose and mouth over axes in px of the 112x112 image (y downwards).

    Eyes, nose tip and mouth corners stand on the template's points (METHODS, section 1); the rest is drawn around them.
    The contour reaches from OUTLINE_TOP to OUTLINE_BOTTOM; limits of the axes are left to the caller.
    """
    from matplotlib.patches import Circle

    left_eye, right_eye, nose, *mouth = TEMPLATE.astype(np.float64)
    middle = np.array([(left_eye[0] + right_eye[0]) / 2, 0.0])
    line: dict[str, Any] = {"color": colour, "linewidth": 1.2, "solid_capstyle": "round"}
    for side in (-1, 1):
        eye = left_eye if side < 0 else right_eye
        for shape in (_CONTOUR, _EAR):
            _curve(axis, middle, shape, side, **line)
        for shape in (_UPPER_LID, _LOWER_LID):
            _curve(axis, eye, shape, side, **line)
        _curve(axis, eye, _BROW, side, **{**line, "linewidth": 2.6})
        for shape in (_BRIDGE, _NOSTRIL):
            _curve(axis, nose, shape, side, **line)
        axis.add_patch(Circle((eye[0], eye[1]), 3.4, fill=False, edgecolor=colour, linewidth=1.0))
        axis.add_patch(Circle((eye[0], eye[1]), 1.3, color=colour))
    _curve(axis, nose, _NOSE_TIP, 1, **line)
    centre, half_width = (mouth[0] + mouth[1]) / 2, (mouth[1][0] - mouth[0][0]) / 2
    for shape in (_LIP_LINE, _UPPER_LIP, _LOWER_LIP):
        _curve(axis, centre, [(x * half_width, y) for x, y in shape], 1, **line)


def _curve(axis: "Axes", anchor: Points, offsets: Offsets, side: int, **line: Any) -> None:
    """A smooth line through anchor + offsets, mirrored where side is -1; parametrised by its chords, so it does not loop."""
    from scipy.interpolate import PchipInterpolator

    points = anchor + np.array(offsets, np.float64) * [side, 1]
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))))
    x, y = PchipInterpolator(along, points)(np.linspace(0.0, along[-1], 60)).T
    axis.plot(x, y, **line)
