"""Near-duplicates: one photograph under two names or in two splits, found by embeddings and checked by pixels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.geometry import FACE_PX

Image = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]

BLOCK = 4096  # vectors a side: 64 MB of cosines at once
COPIES_FOUND = 0.95  # the share of every kind's made copies that the threshold lets through
SAME_PIXELS = 0.9  # correlation from which on two aligned images are one photograph; other ones of a person stay below
CUT_PX = 2
JPEG_QUALITY = 50


class Pairs(NamedTuple):
    """int64 (P,) `first` < `second`, float32 (P,) `cosine`, highest first; and how many pairs there were, listed or not."""

    first: Codes
    second: Codes
    cosine: Floats
    num_found: int


def near_pairs(
    vectors: Floats, identities: Codes, splits: Codes, threshold: float, most: int, device: torch.device
) -> Pairs:
    """Pairs of two identities or of two splits whose cosine is at least `threshold`: exact, over all pairs.

    Products are taken block by block on the device, so memory holds one block of them, and `most` pairs and a block's. faiss's
    search for all above a threshold would return the pairs within identities, too, which are most, and knows no GPU here.

    Args:
        vectors: float32 (N, D), not zero; may be a memory map.
        identities, splits: (N,), numbers of who is on each and which split it is of.
        threshold: cosine.
        most: pairs that are listed, >= 1: those of the highest cosines, ties in the order of the images.
        device: where products are taken.
    """
    kept, num_found = _no_pairs(), 0
    starts = range(0, len(vectors), BLOCK)
    for first in starts:
        here = _block(vectors, identities, splits, first, device)
        for second in starts[first // BLOCK :]:
            there = here if second == first else _block(vectors, identities, splits, second, device)
            cosines = here.units @ there.units.T
            apart = (here.identities[:, None] != there.identities) | (here.splits[:, None] != there.splits)
            near = (cosines >= threshold) & apart
            rows, columns = (near.triu(1) if second == first else near).nonzero(as_tuple=True)
            num_found += len(rows)
            found = Pairs(
                (rows + first).cpu().numpy(), (columns + second).cpu().numpy(), cosines[rows, columns].cpu().numpy(), 0
            )
            kept = _best(kept, found, most)
    return kept._replace(num_found=num_found)


def _best(kept: Pairs, found: Pairs, most: int) -> Pairs:
    first, second = (np.concatenate(rows) for rows in ((kept.first, found.first), (kept.second, found.second)))
    cosine = np.concatenate([kept.cosine, found.cosine])
    order = np.lexsort((second, first, -cosine))[:most]
    return Pairs(first[order], second[order], cosine[order], 0)


def _no_pairs() -> Pairs:
    return Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), 0)


class _Block(NamedTuple):
    units: Tensor
    identities: Tensor
    splits: Tensor


def _block(vectors: Floats, identities: Codes, splits: Codes, first: int, device: torch.device) -> _Block:
    rows = slice(first, first + BLOCK)
    arrays = (unit(np.asarray(vectors[rows])), identities[rows], splits[rows])
    return _Block(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))


def recompressed(image: Image) -> Image:
    """As a JPEG of quality 50."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done, "OpenCV writes JPEG"
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def cropped(image: Image) -> Image:
    """Without its two left columns and two upper rows, scaled back."""
    return np.asarray(cv2.resize(image[CUT_PX:, CUT_PX:], image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def grey(image: Image) -> Image:
    """Its luminance in all three channels."""
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)


COPIES: Mapping[str, Callable[[Image], Image]] = {"recompressed": recompressed, "cropped": cropped, "grey": grey}


@dataclass(frozen=True)
class Calibration:
    """The threshold, and the share of each kind of copies whose cosine reaches it."""

    threshold: float
    found: Mapping[str, float]


def calibrate(originals: Floats, copies: Mapping[str, Floats]) -> Calibration:
    """The cosine that COPIES_FOUND of every kind's copies have with their originals, or more.

    Args:
        originals: float32 (N, D), N >= 1.
        copies: of each kind the embeddings of the copies, float32 (N, D), in the same order.
    """
    units = unit(originals)
    cosines = {kind: (units * unit(vectors)).sum(axis=1) for kind, vectors in copies.items()}
    threshold = min(float(np.quantile(values, 1 - COPIES_FOUND, method="lower")) for values in cosines.values())
    return Calibration(threshold, {kind: float((values >= threshold).mean()) for kind, values in cosines.items()})


def pixel_correlations(images: Image, others: Image) -> Floats:
    """Pearson's correlation of the luminance of two aligned images, or of one and the other's mirror image where that is higher.

    Both are blurred by 1.5 px, so that neither compression nor a shift by a pixel counts. Constant images have 0.

    Args:
        images, others: uint8 (N, 112, 112, 3).

    Returns:
        float32 (N,), -1..1.
    """
    a, b = _standardised(images), _standardised(others)
    mirrored = b.reshape(-1, FACE_PX, FACE_PX)[:, :, ::-1].reshape(b.shape)
    return np.asarray(np.maximum((a * b).sum(axis=1), (a * mirrored).sum(axis=1)), np.float32)


def _standardised(images: Image) -> Floats:
    """(N, 112 * 112), each of mean 0 and length 1."""
    greys = [
        cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5) for image in images
    ]
    flat = np.array(greys, np.float32).reshape(len(images), -1)
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def evenly_spread(num: int, most: int) -> Sequence[int]:
    """At most `most` of the numbers 0..num-1, evenly spread over them."""
    return range(0, num, -(-num // most) or 1)
