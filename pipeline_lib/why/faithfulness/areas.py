"""The measure by areas: insertion and deletion curves of genuine pairs, and what lies under them."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.params.explain import Explain
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Maps
from pipeline_lib.why.explanation.shared.pair_sample import TIES, SampledPair
from pipeline_lib.why.faithfulness.insertion_deletion import CURVES, Curves, area, draw_tie_ranks, insertion_deletion
from pipeline_lib.why.faithfulness.means import flat_estimates, of_protocols
from pipeline_lib.why.faithfulness.same_position import same_position_share


class Areas:
    """Insertion and deletion of the measured genuine pairs, and their patches' partners (a Measure).

    Writes faithfulness.parquet (schemas.faithfulness.FAITHFULNESS) and curves.csv: method, protocol, metric, share of changed
    pixels, mean score over pairs and the ends of its interval, NaN where there is none.

    Args:
        method: the entry of params.explanations.
        embedder: what gives a pair its score.
        params: number of steps and blur, see insertion_deletion.
    """

    def __init__(self, method: str, embedder: Embedder, params: Explain) -> None:
        self._method, self._embedder, self._params = method, embedder, params
        self._measured = list[tuple[SampledPair, Curves, float | None]]()

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure; impostor pairs are passed over."""
        if not (pair.is_measured and pair.genuine):
            return
        curves = measure_pair(self._embedder, faces, found.maps, self._params, pair.rng(TIES))
        terms = found.terms if self._embedder.network.additive else None
        self._measured.append((pair, curves, None if terms is None else same_position_share(terms)))

    def write(self, out: Path) -> dict[str, float]:
        """See Measure: num_pairs, and for each protocol and curve <protocol>/insertion_mean, _low, _high; the same of
        same_position, where there are terms.
        """
        rows = [self._row(*measured) for measured in self._measured]
        write_table(out / "faithfulness.parquet", table_from_rows(rows, FAITHFULNESS), FAITHFULNESS)
        with atomic_file(out / "curves.csv") as partial, partial.open("w", newline="") as handle:
            lines = csv.writer(handle)
            lines.writerow(("method", "protocol", "metric", "share", "mean_score", "low", "high"))
            lines.writerows(self._mean_curves())
        figures: dict[str, float] = {"num_pairs": len(rows)}
        for protocol, bootstrap, chosen in of_protocols([pair for pair, _, _ in self._measured]):
            for name in CURVES:
                areas = [area(getattr(self._measured[index][1], name)) for index in chosen]
                figures |= flat_estimates(f"{protocol}/{name}", bootstrap.estimate(areas))
            shares = [share for index in chosen if (share := self._measured[index][2]) is not None]
            if len(shares) == len(chosen):
                figures |= flat_estimates(f"{protocol}/same_position", bootstrap.estimate(shares))
        return figures

    def _row(self, pair: SampledPair, curves: Curves, share: float | None) -> dict[str, object]:
        return {
            "protocol": pair.protocol,
            "image_a": pair.image_a,
            "image_b": pair.image_b,
            "identity": pair.identity_a,
            "method": self._method,
            **{f"{name}_auc": area(getattr(curves, name)) for name in CURVES},
            "same_position_share": share,
        }

    def _mean_curves(self) -> Iterator[tuple[object, ...]]:
        for protocol, bootstrap, chosen in of_protocols([pair for pair, _, _ in self._measured]):
            for name in CURVES:
                mean, low, high = bootstrap.band([getattr(self._measured[index][1], name) for index in chosen])
                for share, *values in zip(np.linspace(0.0, 1.0, len(mean)), mean, low, high, strict=True):
                    yield self._method, protocol, name, float(share), *map(float, values)


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
    a, b = (
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
    )
    return Curves(**{name: (getattr(a, name) + getattr(b, name)) / 2 for name in CURVES})
