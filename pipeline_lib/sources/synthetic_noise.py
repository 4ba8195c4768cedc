"""Smooth random fields and soft steps, the material of skin, hair, cloth and backgrounds."""

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def smoothstep(low: float, high: float, x: Field) -> Field:
    """0 at `low`, 1 at `high` (which may be the smaller one), 3t²-2t³ between; same shape as `x`."""
    t = np.clip((x - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return t * t * (np.float32(3.0) - np.float32(2.0) * t)


def cell_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Gaussian noise on `cells` (rows, columns) stretched to `shape` by cubic interpolation; about unit deviation."""
    coarse = rng.standard_normal(cells, dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def fractal_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int, num_octaves: int, falloff: float = 0.5) -> Field:
    """Sum of `num_octaves` cell noises, each twice as fine and `falloff` as strong as the one before; unit deviation.

    `cells` is the number of cells along the longer side in the first octave.
    """
    total = np.zeros(shape, np.float32)
    longer = max(shape)
    strength = 1.0
    for octave in range(num_octaves):
        count = cells * 2**octave
        rows, columns = (max(2, min(n, round(count * n / longer))) for n in shape)
        total += np.float32(strength) * cell_noise(rng, shape, (rows, columns))
        strength *= falloff
    deviation = float(total.std())
    return total / np.float32(deviation if deviation > 0 else 1.0)


def blur(x: Field, sigma_px: float) -> Field:
    """Gaussian blur of (H, W) or (H, W, C); below 0.2 px the input itself."""
    if sigma_px < 0.2:
        return x
    return np.asarray(cv2.GaussianBlur(x, (0, 0), sigma_px), dtype=np.float32)


def mix(below: Field, above: Field, alpha: Field) -> Field:
    """Lay `above` (a colour (3,) or (H, W, 3)) over `below` (H, W, 3) with opacity `alpha` (H, W) in [0, 1]."""
    return below + (above - below) * alpha[..., None]
