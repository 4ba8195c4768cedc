"""What was decided of an explained pair: its number, similarity and threshold, and whether that was right; without names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report.inputs import read_pair_scores
from pipeline_lib.params.scores import Score

COSINE = "cosine"  # the kind of score whose values explanations explain


@dataclass(frozen=True)
class Decided:
    """A pair in words, and its verdict: match, no match, a miss (one person below the threshold) or a false match; empty without
    a threshold.
    """

    text: str
    verdict: str

    @property
    def is_wrong(self) -> bool:
        """Whether the threshold decides it wrongly."""
        return self.verdict in ("a miss", "a false match")


@dataclass(frozen=True)
class Decisions:
    """Pair scores and calibrations as stage verify wrote them; None where it did not run."""

    scores: pa.Table | None
    calibration: Mapping[str, Any]

    def of(self, pair: Mapping[str, Any], network: str, scores: Mapping[str, Score]) -> Decided:
        """The decision of a network's cosine on a pair.

        Args:
            pair: protocol, image_a, image_b, genuine, and score, the similarity that was explained.
            network: whose embeddings were compared.
            scores: the section of params.
        """
        about = f"of {'one person' if pair['genuine'] else 'two people'}"
        number = self._number(pair)
        head = f"{pair['protocol']}, pair {number}, {about}" if number is not None else f"{pair['protocol']}, {about}"
        entry = next((name for name, score in scores.items() if score.kind == COSINE), COSINE)
        found = self.calibration.get(f"{entry}:{network}")
        if found is None:
            return Decided(f"{head}: cosine {pair['score']:.3f}", "")
        is_match = pair["score"] > found["threshold"]
        verdicts = {
            (True, True): "match",
            (True, False): "a miss",
            (False, True): "a false match",
            (False, False): "no match",
        }
        text = f"{head}: cosine {pair['score']:.3f}, threshold {found['threshold']:.3f}"
        return Decided(text, verdicts[bool(pair["genuine"]), is_match])

    def _number(self, pair: Mapping[str, Any]) -> int | None:
        """Its row among the protocol's pairs in verify/scores.parquet, from 1."""
        if self.scores is None:
            return None
        own = self.scores.filter(pc.equal(self.scores["protocol"], pair["protocol"]))
        same = pc.and_(*(pc.equal(own[side], pair[side]) for side in ("image_a", "image_b")))
        row = pc.index(same, True).as_py()
        return None if row < 0 else int(row) + 1


def read_decisions(data: Path) -> Decisions:
    """Raises DataError: a file of stage verify is damaged."""
    folder = data / "verify"
    if not (folder / "scores.parquet").is_file():
        return Decisions(None, {})
    return Decisions(read_pair_scores(folder / "scores.parquet"), read_json(folder / "calibration.json"))
