"""xFace: what a distance owes to each place of a face, found by covering it (Knoche et al., WACV-W 2023)."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_SHAPE
from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.blur import blurred
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Maps, Requires
from pipeline_lib.why.explanation.shared.occluded_embeddings import occluded_embeddings
from pipeline_lib.why.explanation.shared.occluders import Floats, Squares, occluders
from pipeline_lib.why.explanation.shared.patch_terms import pixel_map

REQUIRES: Requires = "embeddings"
Variant = Literal[1, 2, 3]
Doubles = npt.NDArray[np.float64]
ROUNDING = 1e-6  # of a float32 network's cosines


class Settings(Section):
    """`variant`: with what an occluded face is compared: 1 the other one under every square of the same size, on
    average; 2 the other one as it is; 3 the other one under the same square.
    """

    variant: Variant = 1


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Cover each place of both faces with black squares and see how much further apart the faces are then.

        d = 1 - cos;   dev_s = (d under the square s - d) / p² for the pixels of s, p = 7, 14, 28 px at a stride of 5 px
        map = mean over p of blur(mean over all squares of p of dev_s), over its largest absolute value

    So values lie in [-1, 1], in no unit, and only the order within a map tells. Where a square takes the distance up,
    what it covers speaks for a match: positive. The public code blanks (p+1)² pixels and divides by p²; here p² are
    blanked.

    The network is a black box: any function of images with `images_per_batch` will do, and is called with 1,130
    occluded versions of each face (`occluders`), in batches of that many.

    Args:
        network: any, in eval mode.
        pair: two faces, by `network`.
        settings: see there.
        rng: not used.

    Returns:
        Two maps; of zeros where no square changes the distance by more than the network's rounding (1e-6), for nothing
        can be learned from that. With variant 3 the two are one.

    Raises:
        DataError: the images have another size, or an embedding, of an occluded face too, is zero, NaN or infinite.
    """
    score, known = pair.score, getattr(network, "confidence", None)  # a black box need not have any
    confidence = None if known is None else float(known.of_decision(score))
    return Explanation(xface_maps(network, pair, settings.variant, occluders()), score, confidence=confidence)


def xface_maps(network: Embedder, pair: EmbeddedPair, variant: Variant, squares: Squares) -> Maps:
    """The maps float32 (2, 112, 112) of `explain` by any squares, int64 (N, 4) x y w h px."""
    if pair.images.shape != (2, *FACE_SHAPE) or pair.images.dtype != np.uint8:
        got = f"{pair.images.dtype} {pair.images.shape}"
        raise DataError("xFace covers places of aligned faces.", got=got, allowed=f"uint8 {(2, *FACE_SHAPE)}")
    found = [occluded_embeddings(network, image, squares) for image in pair.inputs]
    sizes = [squares[:, 2] == side for side in np.unique(squares[:, 2])]
    growths = np.empty((2, len(squares)))
    for size in sizes:
        growths[:, size] = distance_growths(pair.embeddings, found[0][size], found[1][size], variant)
    maps = np.mean([[pixel_map(of[size] / size.sum(), squares[size]) for of in growths] for size in sizes], axis=0)
    return _normalised(blurred(maps), growths)


def distance_growths(clean: Floats, a: Floats, b: Floats, variant: Variant) -> Doubles:
    """How much further apart two faces are under each square, for squares over A and for squares over B.

        variant 1: mean over t of d(a_s, b_t) - d(A, B);   2: d(a_s, B) - d(A, B);   3: d(a_s, b_s) - d(A, B)

    and for B with the two exchanged. Each is computed from differences of unit vectors, so what changes nothing gives
    exactly 0: d(a, b) - d(A, B) = (A - a) b + A (B - b).

    Args:
        clean: float32 (2, D), the embeddings A and B.
        a, b: float32 (N, D), of A and of B under each of N squares, in the same order.

    Returns:
        float64 (2, N), in [-2, 2].

    Raises:
        DataError: an embedding is zero, NaN or infinite, or their lengths differ.
    """
    if not clean.shape[1] == a.shape[1] == b.shape[1]:
        raise DataError("Embeddings differ in length.", got=(clean.shape, a.shape, b.shape), allowed="one D")
    units = unit(clean).astype(np.float64)
    moved = [vector - unit(under).astype(np.float64) for vector, under in zip(units, (a, b), strict=True)]
    growths = []
    for own, other in ((0, 1), (1, 0)):
        partner_moved = {1: moved[other].mean(axis=0), 2: np.zeros_like(units[other]), 3: moved[other]}[variant]
        growths.append((moved[own] * (units[other] - partner_moved)).sum(axis=1) + partner_moved @ units[own])
    return np.stack(growths)


def _normalised(maps: Maps, growths: Doubles) -> Maps:
    """Each map over its largest absolute value; zeros where the growths are rounding."""
    known = np.abs(growths).max(axis=1) > ROUNDING
    largest = np.abs(maps).max(axis=(1, 2))
    scale = np.divide(1.0, largest, out=np.zeros_like(largest), where=known & (largest > 0))
    return np.asarray(maps * scale[:, None, None], np.float32)
