"""RRFNet's own map against the random one: insertion and deletion over many genuine pairs."""

from collections.abc import Sequence

import numpy as np

from pipeline_lib.why.explanation.random import random_map
from pipeline_lib.why.explanation.shared.rrf_pair import Embedder, Floats, explain_pair
from pipeline_lib.why.faithfulness.insertion_deletion import Curves, area, draw_tie_ranks, insertion_deletion
from pipeline_lib.why.faithfulness.pair_sample import Pair

METHODS = ("own", "random")


def measure_pair(
    embedder: Embedder, pair: Floats, num_steps: int, blur_sigma_px: float, seed: Sequence[int]
) -> tuple[dict[str, Curves], float]:
    """Insertion and deletion curves of each method, averaged over both images of a pair, and the additivity error.

    Args:
        embedder: around an RRFNet.
        pair: float32 (2, 3, 112, 112) in network space.
        num_steps, blur_sigma_px: see insertion_deletion.
        seed: of the random maps and of the order among equal pixels.
    """
    explained = explain_pair(embedder, pair)
    rng = np.random.default_rng(list(seed))
    sides = []
    for side in (0, 1):
        maps = [explained.maps[side], random_map(rng)]
        sides.append(
            insertion_deletion(
                embedder,
                pair[side],
                explained.embeddings[1 - side],
                maps,
                num_steps=num_steps,
                blur_sigma_px=blur_sigma_px,
                tie_ranks=draw_tie_ranks(rng, maps[0].size),
            )
        )
    curves = {
        method: Curves((a.insertion + b.insertion) / 2, (a.deletion + b.deletion) / 2)
        for method, a, b in zip(METHODS, *sides, strict=True)
    }
    return curves, explained.additivity_error


def faithfulness_rows(pairs: Sequence[Pair], curves: Sequence[dict[str, Curves]]) -> list[dict[str, object]]:
    """Rows of schemas.faithfulness.FAITHFULNESS: the areas of each pair and method."""
    return [
        {
            "image_a": image_a,
            "image_b": image_b,
            "method": method,
            "insertion_auc": area(found.insertion),
            "deletion_auc": area(found.deletion),
        }
        for (image_a, image_b), methods in zip(pairs, curves, strict=True)
        for method, found in methods.items()
    ]


def summarise(curves: Sequence[dict[str, Curves]]) -> dict[str, dict[str, float]]:
    """{method: {insertion_mean, insertion_std, deletion_mean, deletion_std}}: areas over pairs, population std."""
    summary = {}
    for method in METHODS:
        insertion = [area(pair[method].insertion) for pair in curves]
        deletion = [area(pair[method].deletion) for pair in curves]
        summary[method] = {
            "insertion_mean": float(np.mean(insertion)),
            "insertion_std": float(np.std(insertion)),
            "deletion_mean": float(np.mean(deletion)),
            "deletion_std": float(np.std(deletion)),
        }
    return summary


def mean_curve_rows(curves: Sequence[dict[str, Curves]]) -> list[tuple[str, str, float, float]]:
    """(method, metric, share of changed pixels, mean score over pairs), for plotting."""
    rows = []
    for method in METHODS:
        for metric in ("insertion", "deletion"):
            mean = np.mean([getattr(pair[method], metric) for pair in curves], axis=0)
            shares = np.linspace(0.0, 1.0, len(mean))
            rows += [(method, metric, float(share), float(score)) for share, score in zip(shares, mean, strict=True)]
    return rows
