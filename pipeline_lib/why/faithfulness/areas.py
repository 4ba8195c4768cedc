"""The measure by areas: insertion and deletion curves of genuine pairs, and what lies under them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.params.explain import Explain
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Maps
from pipeline_lib.why.explanation.shared.pair_sample import TIES, SampledPair
from pipeline_lib.why.faithfulness.insertion_deletion import Curves, area, draw_tie_ranks, insertion_deletion

METRICS = ("insertion", "deletion")


class Areas:
    """Insertion and deletion of the measured genuine pairs (a Measure).

    Writes faithfulness.parquet (schemas.faithfulness.FAITHFULNESS) and curves.csv: method, metric, share of changed pixels,
    mean score over pairs.

    Args:
        method: the entry of params.explanations.
        embedder: what gives a pair its score.
        params: number of steps and blur, see insertion_deletion.
    """

    def __init__(self, method: str, embedder: Embedder, params: Explain) -> None:
        self._method, self._embedder, self._params = method, embedder, params
        self._pairs, self._curves = list[SampledPair](), list[Curves]()

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure; impostor pairs are passed over."""
        if not (pair.is_measured and pair.genuine):
            return
        self._curves.append(measure_pair(self._embedder, faces, found.maps, self._params, pair.rng(TIES)))
        self._pairs.append(pair)

    def write(self, out: Path) -> dict[str, float]:
        """See Measure: {insertion_mean, insertion_std, deletion_mean, deletion_std, num_pairs}, population std."""
        rows = [
            {
                "image_a": pair.image_a,
                "image_b": pair.image_b,
                "method": self._method,
                "insertion_auc": area(curves.insertion),
                "deletion_auc": area(curves.deletion),
            }
            for pair, curves in zip(self._pairs, self._curves, strict=True)
        ]
        write_table(out / "faithfulness.parquet", table_from_rows(rows, FAITHFULNESS), FAITHFULNESS)
        _write_mean_curves(out / "curves.csv", self._method, self._curves)
        return {**_summary(self._curves), "num_pairs": len(self._pairs)}


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


def _summary(curves: Sequence[Curves]) -> dict[str, float]:
    summary: dict[str, float] = {}
    for metric in METRICS:
        areas = [area(getattr(pair, metric)) for pair in curves]
        summary |= {f"{metric}_mean": float(np.mean(areas)), f"{metric}_std": float(np.std(areas))}
    return summary


def _write_mean_curves(path: Path, method: str, curves: Sequence[Curves]) -> None:
    with atomic_file(path) as partial, partial.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(("method", "metric", "share", "mean_score"))
        for metric in METRICS:
            mean = np.mean([getattr(pair, metric) for pair in curves], axis=0)
            shares = np.linspace(0.0, 1.0, len(mean))
            rows.writerows(
                (method, metric, float(share), float(score)) for share, score in zip(shares, mean, strict=True)
            )
