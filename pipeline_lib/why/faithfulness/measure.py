"""What every measure of a method's faithfulness offers: pairs in, one by one; files and figures out."""

from pathlib import Path
from typing import Protocol

from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair


class Measure(Protocol):
    """One measure of one entry of `explanations`."""

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """Measure one explained pair.

        Raises:
            DataError: the pair cannot be measured; nothing of it is kept.
        """

    def write(self, out: Path) -> dict[str, float]:
        """Write what was measured into the folder `out`, whole files only, and give the figures of metrics.json."""
