"""Decision-based patch replacement: does a map find the squares that led to the decision about a patched pair?"""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.dpr import NUM_STEPS
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.pixels import network_scale
from pipeline_lib.data.patches.squares import Mask
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.faithfulness.insertion_deletion import Embed, Floats, Indices, draw_tie_ranks, saliency_ranks
from pipeline_lib.why.faithfulness.patched_pairs import Image, PatchedPair

Doubles = npt.NDArray[np.float64]


def returned_pixels(
    changed: Mask, found: Explanation, threshold: float, rng: np.random.Generator, num_steps: int = NUM_STEPS
) -> Mask:
    """Which pixels of A are the clean image's again at each step: bool (S, 112, 112), of steps 1 to S.

    A pair that counts as a match (score >= threshold) gets its most similar pixels back first, any other its least similar:
    those that the decision rests on. Step s takes the round(s·P/S) first of all P pixels of the face. Pixels that no square
    changed are counted and stay, so a map that points at them gains nothing.

    A method whose map has one value a cell (Explanation.boxes without terms) is replaced cell by cell: step s takes the
    round(s·K/S) first of its K cells, which is the nearest whole number of cells to a share of s/S. Where cells overlap, a
    pixel comes with the first of its cells; one of no cell comes with the last.

    Args:
        changed: bool (112, 112), of the patched image.
        found: of the patched pair; maps[0] is image A's.
        threshold: the cosine that decides for a match.
        rng: draws the order among pixels, or cells, of equal value.

    Huber et al. (papers/xssab.md), section 4.3; METHODS section 9.
    """
    values = found.maps[0] if found.score >= threshold else -found.maps[0]
    if found.boxes is None or found.terms is not None:
        ranks, num = saliency_ranks(values, draw_tie_ranks(rng, values.size)), values.size
    else:
        ranks, num = _cell_ranks(values, found.boxes, rng), len(found.boxes)
    counts = np.rint(np.linspace(0, num, num_steps + 1)[1:]).astype(np.int64)
    return np.asarray(changed & (ranks < counts[:, None, None]))


def replacement_scores(embed: Embed, pair: PatchedPair, partner: Floats, returned: Mask) -> Doubles:
    """The pair's cosine after each step, all images in one call of `embed`: float64 (S,).

    Args:
        embed: float32 (B, 3, H, W) in network space -> float32 (B, D), not normalised.
        pair: whose image A is replaced.
        partner: float32 (D,), the embedding of image B, by the same `embed`.
        returned: bool (S, H, W), see returned_pixels.

    Raises:
        DataError: an embedding has no direction, or the patched pair has another size.
    """
    if returned.shape[1:] != pair.changed.shape:
        raise DataError("Replaced pixels are of another size than the image.", got=returned.shape)
    patched, original = (
        network_scale(image.transpose(2, 0, 1).astype(np.float32)) for image in (pair.images[0], pair.original)
    )
    embeddings = embed(np.where(returned[:, None], original, patched))
    return cosine(embeddings, np.broadcast_to(partner, embeddings.shape)).astype(np.float64)


def replaced_image(pair: PatchedPair, returned: Mask) -> Image:
    """Image A, uint8 (H, W, 3), with the pixels `returned`, bool (H, W), as they were."""
    return np.where(returned[..., None], pair.original, pair.images[0])


def _cell_ranks(values: npt.NDArray[np.float32], boxes: npt.NDArray[Any], rng: np.random.Generator) -> Indices:
    # float64 sums of equal float32 values are exact, so that cells of one value stay equal whatever their size.
    means = np.array([values[y : y + h, x : x + w].mean(dtype=np.float64) for x, y, w, h in boxes])
    of_cell = saliency_ranks(means, draw_tie_ranks(rng, len(boxes)))
    ranks = np.full(values.shape, len(boxes) - 1, np.int64)
    for rank, (x, y, w, h) in sorted(zip(of_cell.tolist(), boxes.tolist(), strict=True), reverse=True):
        ranks[y : y + h, x : x + w] = rank
    return ranks
