"""Coordinates that move with a face: where cheeks, jaw and ears are, guessed from five landmarks."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Points = npt.NDArray[np.float32]

# Proportions of a frontal face in the 112x112 template, in units of its scale (the distance of the eyes, 35 px there).
CHEEK = 1.08  # from the midline to the cheek's outline
NARROW, WIDEN = 0.55, 0.30  # how much a turned face loses on the far side and gains on the near one, at a turn of 1
HIDDEN_FROM = 0.45  # the turn from which on the far ear is not seen
SMALLEST_SCALE_PX = 12.0


@dataclass(frozen=True)
class FaceFrame:
    """An oblique frame on a face: `a` across (-1 and 1 are the cheeks' outlines), `p` down (0 eyes, 1 mouth, 1.6 chin).

    Attributes:
        origin: (2,) pixels, midway between the eyes.
        across, down: (2,) unit vectors, perpendicular.
        height_px: from the lower eye to the mouth, along `down`.
        eye_px: how far the lower eye lies below the origin, along `down`.
        half_widths_px: distance of the cheeks' outlines on the picture's left and right.
        scale_px: size of the face, about the distance of the eyes seen from the front.
        turn: 0 from the front; 1 and -1 about profile, nose towards the picture's right and left.
        nose: the nose's (a, p).
    """

    origin: npt.NDArray[np.float64]
    across: npt.NDArray[np.float64]
    down: npt.NDArray[np.float64]
    height_px: float
    eye_px: float
    half_widths_px: tuple[float, float]
    scale_px: float
    turn: float
    nose: tuple[float, float]

    def shows(self, side: int) -> bool:
        """True if the ear of side 0 (the picture's left) or 1 is not hidden behind a turned face."""
        return (self.turn if side else -self.turn) < HIDDEN_FROM

    def to_image(self, points: npt.ArrayLike) -> Points:
        """(N, 2) of (a, p) -> (N, 2) of pixels (x, y)."""
        a, p = np.asarray(points, np.float64).reshape(-1, 2).T
        along = a * np.where(a < 0, *self.half_widths_px)
        below = self.eye_px + p * self.height_px
        pixels = self.origin + along[:, None] * self.across + below[:, None] * self.down
        return pixels.astype(np.float32)

    def to_face(self, pixels: npt.ArrayLike) -> Points:
        """(..., 2) of pixels -> (..., 2) of (a, p); the inverse of to_image."""
        offset = np.asarray(pixels, np.float64) - self.origin
        along, below = offset @ self.across, offset @ self.down
        a = along / np.where(along < 0, *self.half_widths_px)
        return np.stack([a, (below - self.eye_px) / self.height_px], axis=-1).astype(np.float32)


def face_frame(landmarks: npt.ArrayLike) -> FaceFrame:
    """Fit the frame to five landmarks.

    `down` points from between the eyes to between the mouth corners. The scale is the larger of the eyes' distance and
    0.87 of the eyes' height over the mouth: equal from the front, while a turn shortens only the first. The nose leaves
    the midline as a face turns; its offset narrows the far half and widens the near one. Landmarks that no face has
    (all in one place) still give a frame, of SMALLEST_SCALE_PX.

    Args:
        landmarks: (5, 2) left eye, right eye, nose, mouth corners, pixels.

    Raises:
        DataError: another shape, or a landmark that is not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise DataError("Landmarks must be five finite points.", got=points.tolist(), allowed="(5, 2)")
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    origin, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    drop = mouth - origin
    length = float(np.hypot(*drop))
    down = drop / length if length > 1e-3 else np.array([0.0, 1.0])
    across = np.array([down[1], -down[0]])
    eyes = np.array([left_eye - origin, right_eye - origin])
    scale = max(float(np.ptp(eyes @ across)), 0.87 * length, SMALLEST_SCALE_PX)
    eye_px = float((eyes @ down).max())
    height = max(length - eye_px, 0.5 * scale)
    nose_px = float((nose - origin) @ across)
    turn = float(np.clip(nose_px / (0.5 * scale), -1.0, 1.0))
    widths = []
    for sign in (-1.0, 1.0):
        toward = turn * sign
        guess = CHEEK * scale * (1 - NARROW * max(toward, 0.0) + WIDEN * max(-toward, 0.0))
        outermost = float((sign * (points - origin) @ across).max())
        widths.append(max(guess, 1.25 * outermost))  # the outline lies outside every landmark
    nose_p = (float((nose - origin) @ down) - eye_px) / height
    return FaceFrame(
        origin,
        across,
        down,
        height,
        eye_px,
        (widths[0], widths[1]),
        scale,
        turn,
        (nose_px / widths[nose_px >= 0], nose_p),
    )
