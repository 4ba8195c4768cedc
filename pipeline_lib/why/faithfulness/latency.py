"""The measure of cost: seconds of a pair, and how many images went through the network for it."""

from pathlib import Path
from statistics import median

from pipeline_lib.core.files import write_json
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.schemas.latency import LATENCY
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair
from pipeline_lib.why.explanation.shared.explainer import Cost, Explainer
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair


class Latency:
    """What every explained pair cost (a Measure): xSSAB Table 3, RRFNet Table VI.

    Writes latency.parquet (schemas.latency.LATENCY) and latency.json: embedding_s, method_s and pair_s, their sum, and
    num_forward, num_backward; medians over the pairs, so that the first one's warming up counts for nothing. No other file
    changes from one run to the next, and none of the figures goes into metrics.json.

    Args:
        method: the entry of params.explanations.
        explain: the method; its `cost` is that of the pair that is added.
    """

    def __init__(self, method: str, explain: Explainer) -> None:
        self._method, self._explain = method, explain
        self._measured = list[tuple[SampledPair, Cost]]()

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure."""
        self._measured.append((pair, self._explain.cost))

    def write(self, out: Path) -> dict[str, float]:
        """See Measure; no figures of metrics.json."""
        rows = [
            {
                **pair.names,
                "method": self._method,
                **cost._asdict(),
            }
            for pair, cost in self._measured
        ]
        write_table(out / "latency.parquet", table_from_rows(rows, LATENCY), LATENCY)
        figures = {name: median(getattr(cost, name) for _, cost in self._measured) for name in Cost._fields}
        pair_s = median(cost.embedding_s + cost.method_s for _, cost in self._measured)
        write_json(out / "latency.json", {**figures, "pair_s": pair_s})
        return {}
