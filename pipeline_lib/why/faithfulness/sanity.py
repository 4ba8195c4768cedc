"""The measure of sanity: a map of what a network learned changes as the network forgets it."""

from pathlib import Path

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.schemas.sanity import SANITY
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, SampledPair
from pipeline_lib.why.explanation.shared.pair_sample import SANITY as SHUFFLING
from pipeline_lib.why.explanation.shared.rank_correlation import map_correlation
from pipeline_lib.why.faithfulness.shuffled import cascade

MAX_PAIRS = 2  # each costs as many maps as there are steps
SAME = 0.95  # a rank correlation from which on a map counts as unchanged


class Sanity:
    """Rank correlations of the first shown pairs' maps with those of the network shuffled from the top (a Measure).

    Writes sanity.parquet (schemas.sanity.SANITY).

    Args:
        method: the entry of params.explanations.
        explain: the method and the network as it is.
    """

    def __init__(self, method: str, explain: Explainer) -> None:
        self._method, self._explain = method, explain
        self._rows = list[dict[str, object]]()
        self._last = list[float]()

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure; the method draws for each step what it drew for `found`."""
        if not pair.is_shown or len(self._rows) == MAX_PAIRS:
            return
        layers, correlations = list[str](), list[float | None]()
        embedder = self._explain.embedder
        for names, network, beside in cascade(embedder.network, embedder.beside, pair.rng(SHUFFLING)):
            other = Embedder(network, embedder.mirror, embedder.images_per_batch, embedder.threshold, beside)
            layers.append(names)
            correlations.append(self._correlation(other, pair, faces, found))
        row = {"protocol": pair.protocol, "image_a": pair.image_a, "image_b": pair.image_b, "method": self._method}
        self._rows.append({**row, "layers": layers, "correlations": correlations})
        if correlations[-1] is not None:
            self._last.append(correlations[-1])

    def write(self, out: Path) -> dict[str, float]:
        """See Measure: sanity_correlation, the mean with all layers shuffled, and sanity_unchanged, 1 where it is SAME or more:
        the map is not of what the network learned; nothing where no pair has one.
        """
        write_table(out / "sanity.parquet", table_from_rows(self._rows, SANITY), SANITY)
        if not self._last:
            return {}
        mean = float(np.mean(self._last))
        return {"sanity_correlation": mean, "sanity_unchanged": float(mean >= SAME)}

    def _correlation(
        self, embedder: Embedder, pair: SampledPair, faces: EmbeddedPair, found: Explanation
    ) -> float | None:
        explain = Explainer(self._explain.kind, self._explain.settings, embedder)
        try:
            _, other = explain(faces.images, pair.rng(EXPLANATION))
        except DataError:
            return None  # a shuffled network may give no direction to explain; the pair is none the worse for it
        return map_correlation(found.maps, other.maps)
