"""How far a face is from those that a model was calibrated on, by what its pixels are like and by what its network makes of them.

A description of an aligned face's pixels holds how much there is of light, of colour and of detail:

    x = [mean Y, ln s(Y), mean Cb, ln s(Cb), mean Cr, ln s(Cr), ln s(band_1 of Y), ..., ln s(band_4 of Y), ln s(band_1 of Cb, Cr)]

with s the standard deviation and band_k the k-th octave: what a halving of the picture loses. Of a network the mean of its
patch features is taken, at unit length: what of each kind there is in the face, wherever it is. (An embedding of a network of
many people has lost that: a drawn face is a face to it.) Either distance is Mahalanobis' from the calibration's faces, in the
NUM_AXES strongest directions of the standardised figures (Lee et al., NeurIPS 2018, who take features of hidden layers), in
units of the distance below which a share SHARE of these faces lies; the larger one counts. Neither does alone: docs/methods.md
has what each of them finds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError

DOMAIN = "domain.safetensors"
SHARE = 0.99
MIN_FACES = 50  # for a covariance of 11 figures
NUM_AXES, FACES_AN_AXIS = 64, 4
NUM_BANDS = 4
FLOOR = 0.5  # of a standard deviation, in grey levels: what rounding to 8 bits leaves of a flat picture
RIDGE = 1e-3  # of a column's variance, added to each direction's: what hardly varies must not decide alone
LEAST_SPREAD = 1e-6  # of a column
Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Rows of figures, as their mean and covariance tell them.

    Attributes:
        mean: float32 (F,).
        whitening: float32 (K, F), K <= F: |whitening @ (x - mean)| is the distance.
        limit: float32 (), of the rows a share SHARE is nearer.
    """

    mean: Floats
    whitening: Floats
    limit: Floats

    def distances(self, rows: npt.NDArray[np.floating]) -> Doubles:
        """Of rows (N, F), in units of the limit: float64 (N,)."""
        apart = (np.asarray(rows, np.float64) - self.mean) @ self.whitening.T
        return np.asarray(np.linalg.norm(apart, axis=1) / self.limit, np.float64)


def fit_gaussian(rows: Doubles, num_axes: int) -> Gaussian:
    """Of rows float64 (N, F), each column standardised, in their `num_axes` strongest directions.

    The limit is the quantile of the distances that each half of the rows has from the other half's Gaussian: a row is nearer to
    the one that was fitted on it than the next row will be.
    """
    halves = rows[::2], rows[1::2]
    apart = [_unlimited(other, num_axes).distances(one) for one, other in (halves, halves[::-1])]
    limit = np.float32(np.quantile(np.concatenate(apart), SHARE))
    return replace(_unlimited(rows, num_axes), limit=np.asarray(limit))


def _unlimited(rows: Doubles, num_axes: int) -> Gaussian:
    mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0, ddof=1), LEAST_SPREAD)
    variances, axes = np.linalg.eigh(np.cov((rows - mean) / spread, rowvar=False))
    strongest = slice(-min(num_axes, len(variances)), None)
    deviations = np.sqrt(variances[strongest].clip(0) + RIDGE)
    # safetensors writes the memory as it lies
    whitening = np.ascontiguousarray((axes[:, strongest] / deviations).T / spread)
    return Gaussian(mean.astype(np.float32), whitening.astype(np.float32), np.ones((), np.float32))


@dataclass(frozen=True)
class Domain:
    """The calibration's faces: what their pixels are like and, of a network of whole faces, what it finds in them."""

    pixels: Gaussian
    patches: Gaussian | None

    def distances(self, faces: Images, patches: Floats | None) -> Doubles:
        """Of aligned faces, uint8 (N, 112, 112, 3) RGB, and the means of their patch features (N, C) (encoder.patch_means), in
        units of the limit: float64 (N,)."""
        found = self.pixels.distances(descriptions(faces))
        if self.patches is None or patches is None:
            return found
        return np.maximum(found, self.patches.distances(unit(patches)))


def fit_domain(faces: Images, patches: Floats | None) -> Domain | None:
    """Of faces and the means of their patch features as Domain.distances has them; None where there are fewer than MIN_FACES."""
    if len(faces) < MIN_FACES:
        return None
    pixels = fit_gaussian(descriptions(faces), NUM_AXES)
    if patches is None:
        return Domain(pixels, None)
    num_axes = min(NUM_AXES, len(patches) // FACES_AN_AXIS)
    return Domain(pixels, fit_gaussian(np.asarray(unit(patches), np.float64), num_axes))


def descriptions(faces: Images) -> Doubles:
    """Float64 (N, F) of uint8 (N, 112, 112, 3) RGB; see the module."""
    return np.array([_description(face) for face in faces])


def _description(face: Images) -> Doubles:
    light, red, blue = (
        np.ascontiguousarray(channel, np.float32)
        for channel in np.moveaxis(cv2.cvtColor(face, cv2.COLOR_RGB2YCrCb), 2, 0)
    )
    told = [light.mean() / 64, _log_deviation(light)]
    for colour in (blue, red):
        told += [(colour.mean() - 128) / 64, _log_deviation(colour)]
    told += _bands(light, NUM_BANDS)
    told.append(float(np.logaddexp(_bands(blue, 1)[0], _bands(red, 1)[0])))
    return np.array(told, np.float64)


def _bands(channel: npt.NDArray[np.float32], num: int) -> list[float]:
    """How much of each octave there is, the finest first."""
    found = []
    for _ in range(num):
        height, width = channel.shape
        half = cv2.resize(channel, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        found.append(_log_deviation(channel - cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)))
        channel = np.asarray(half)
    return found


def _log_deviation(values: npt.NDArray[np.float32]) -> float:
    return float(np.log(np.hypot(values.std(), FLOOR)))


def write_domain(folder: Path, domain: Domain) -> None:
    """Write domain.safetensors."""
    parts = {"pixels": domain.pixels, "patches": domain.patches}
    save_file(
        {
            f"{name}.{key}": value
            for name, part in parts.items()
            if part is not None
            for key, value in vars(part).items()
        },
        folder / DOMAIN,
    )


def read_domain(folder: Path) -> Domain | None:
    """Read it; None where there is none, as of models of earlier versions, and of those calibrated on few faces.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / DOMAIN
    if not path.is_file():
        return None
    try:
        found = load_file(path)
        parts = [_part(found, name) for name in ("pixels", "patches") if f"{name}.mean" in found]
        return Domain(parts[0], parts[1] if len(parts) > 1 else None)
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise DataError("What a model knows of its photographs is damaged.", got=error, where=path) from error


def _part(found: Mapping[str, Floats], name: str) -> Gaussian:
    part = Gaussian(*(found[f"{name}.{field.name}"] for field in fields(Gaussian)))
    if part.whitening.shape[1:] != part.mean.shape or part.limit.shape or not part.limit > 0:
        raise ValueError(f"shapes {part.mean.shape}, {part.whitening.shape}")
    return part
