"""The faithfulness of a method's maps over many pairs, whoever made them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.files import atomic_file
from pipeline_lib.params.explain import Explain
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Maps
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair
from pipeline_lib.why.faithfulness.insertion_deletion import Curves, area, draw_tie_ranks, insertion_deletion

METRICS = ("insertion", "deletion")


def measure_pair(
    embedder: Embedder, pair: EmbeddedPair, maps: Maps, params: Explain, rng: np.random.Generator
) -> Curves:
    """Insertion and deletion curves of a pair's two maps, averaged over both images.

    Args:
        embedder: what gives the pair its score.
        pair: two faces, by `embedder`.
        maps: (2, 112, 112), of image A and of image B.
        params: number of steps and blur, see insertion_deletion.
        rng: draws the order among pixels of equal saliency, of A and then of B.
    """
    sides = [
        insertion_deletion(
            embedder,
            pair.inputs[side],
            pair.embeddings[1 - side],
            maps[side],
            num_steps=params.num_steps,
            blur_sigma_px=params.insertion_blur_sigma_px,
            tie_ranks=draw_tie_ranks(rng, maps[side].size),
        )
        for side in (0, 1)
    ]
    a, b = sides
    return Curves((a.insertion + b.insertion) / 2, (a.deletion + b.deletion) / 2)


def faithfulness_rows(method: str, pairs: Sequence[SampledPair], curves: Sequence[Curves]) -> list[dict[str, object]]:
    """Rows of schemas.faithfulness.FAITHFULNESS: the areas of each pair."""
    return [
        {
            "image_a": pair.image_a,
            "image_b": pair.image_b,
            "method": method,
            "insertion_auc": area(found.insertion),
            "deletion_auc": area(found.deletion),
        }
        for pair, found in zip(pairs, curves, strict=True)
    ]


def summarise(curves: Sequence[Curves]) -> dict[str, float]:
    """{insertion_mean, insertion_std, deletion_mean, deletion_std}: areas over pairs, population std."""
    summary: dict[str, float] = {}
    for metric in METRICS:
        areas = [area(getattr(pair, metric)) for pair in curves]
        summary |= {f"{metric}_mean": float(np.mean(areas)), f"{metric}_std": float(np.std(areas))}
    return summary


def write_mean_curves(path: Path, method: str, curves: Sequence[Curves]) -> None:
    """Write method, metric, share of changed pixels and mean score over pairs as CSV, for plotting."""
    with atomic_file(path) as partial, partial.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(("method", "metric", "share", "mean_score"))
        for metric in METRICS:
            mean = np.mean([getattr(pair, metric) for pair in curves], axis=0)
            shares = np.linspace(0.0, 1.0, len(mean))
            rows.writerows(
                (method, metric, float(share), float(score)) for share, score in zip(shares, mean, strict=True)
            )


def additivity(errors: Sequence[float | None]) -> dict[str, float]:
    """The largest |sum of a map - score| of the pairs, as additivity_max_error; nothing for a method that splits nothing."""
    known = [error for error in errors if error is not None]
    return {"additivity_max_error": max(known)} if len(known) == len(errors) > 0 else {}
