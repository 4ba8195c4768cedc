"""Smooth random fields and soft steps, the material of skin, hair, cloth and backgrounds.

Colours are kept as planes (3, H, W): NumPy multiplies a plane ten times faster than the last axis of (H, W, 3).
"""

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def smoothstep(low: float, high: float, x: Field) -> Field:
    """0 at `low`, 1 at `high` (which may be the smaller one), 3t²-2t³ between; same shape as `x`."""
    t = np.clip((x - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return np.asarray(t * t * (np.float32(3.0) - np.float32(2.0) * t), dtype=np.float32)


def cell_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Gaussian noise on `cells` (rows, columns) stretched to `shape` by cubic interpolation; about unit deviation."""
    return _stretch(rng.standard_normal(cells, dtype=np.float32), shape)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: int, num_octaves: int, falloff: float = 0.5
) -> Field:
    """Sum of `num_octaves` cell noises, each twice as fine and `falloff` as strong as the one before; about unit deviation.

    `cells` is the number of cells along the longer side in the first octave. Each sum is stretched to the next octave's
    cells, and only the last one to `shape`.
    """
    longer = max(shape)
    total = np.zeros((2, 2), np.float32)
    strength = 1.0
    for octave in range(num_octaves):
        count = cells * 2**octave
        rows, columns = (max(2, min(n, round(count * n / longer))) for n in shape)
        total = _stretch(total, (rows, columns)) + np.float32(strength) * rng.standard_normal(
            (rows, columns), dtype=np.float32
        )
        strength *= falloff
    total /= np.float32(max(float(total.std()), 1e-6))
    return _stretch(total, shape)


def _stretch(x: Field, shape: tuple[int, int]) -> Field:
    return np.asarray(cv2.resize(x, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def blur(x: Field, sigma_px: float) -> Field:
    """Gaussian blur of (H, W) or (H, W, C); below 0.2 px the input itself."""
    if sigma_px < 0.2:
        return x
    return np.asarray(cv2.GaussianBlur(x, (0, 0), sigma_px), dtype=np.float32)


def dye(colour: Field, strength: Field) -> Field:
    """A colour (3,) times a field (H, W): colour planes (3, H, W)."""
    return np.asarray(colour, dtype=np.float32)[:, None, None] * strength


def mix(below: Field, above: Field, alpha: Field) -> Field:
    """Lay `above`, a colour (3,) or planes (3, H, W), over planes `below` (3, H, W) with opacity `alpha` (H, W) in [0, 1]."""
    return below + ((above[:, None, None] if above.ndim == 1 else above) - below) * alpha
