"""The measure of exactness: how far the parts of a score are from adding up to it."""

from pathlib import Path

from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair


class Additivity:
    """The largest |sum of a map - score| of all explained pairs (a Measure), of a method that splits the score."""

    def __init__(self) -> None:
        self._errors = list[float]()

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure; a method that splits nothing has no error."""
        if found.additivity_error is not None:
            self._errors.append(found.additivity_error)

    def write(self, out: Path) -> dict[str, float]:
        """See Measure; writes no file: {additivity_max_error}, or nothing."""
        return {"additivity_max_error": max(self._errors)} if self._errors else {}
