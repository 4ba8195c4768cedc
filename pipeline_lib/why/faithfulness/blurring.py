"""The measure by decisions: false matches undone and true ones lost as a share of a face is blurred (RRFNet Fig. 4, 5)."""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.params.explain import Explain
from pipeline_lib.schemas.blurring import BLURRING
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import TIES, SampledPair
from pipeline_lib.why.faithfulness.decisions import SHARES, SHOWN_SHARE, errors
from pipeline_lib.why.faithfulness.insertion_deletion import (
    Embed,
    Floats,
    Indices,
    Map,
    blur,
    check_map,
    cosines,
    draw_tie_ranks,
    saliency_ranks,
)
from pipeline_lib.why.faithfulness.means import flat_estimates, of_protocols

logger = logging.getLogger(__name__)

Scores = npt.NDArray[np.float64]


def blurred_scores(
    embed: Embed, image: Floats, partner: Floats, saliency: Map, *, most: bool, blur_sigma_px: float, tie_ranks: Indices
) -> Scores:
    """Scores of an image against its untouched partner as a growing share of it is blurred: float64 (len(SHARES),).

    Args:
        embed, image, partner, saliency, tie_ranks: as insertion_deletion's.
        most: the most salient pixels are blurred first, else the least salient.
        blur_sigma_px: σ of the Gaussian blur, px.

    Raises:
        DataError: see insertion_deletion.
    """
    check_map(image, saliency, tie_ranks)
    counts = np.rint(np.array(SHARES) * tie_ranks.size)[:, None, None]
    ranks = saliency_ranks(saliency if most else -saliency, tie_ranks)[None]
    images = np.where((ranks < counts)[:, None], blur(image, blur_sigma_px), image)
    return cosines(embed(images), partner)


class Blurring:
    """FPR and FNR of the measured pairs at the network's threshold (a Measure).

    Of an impostor pair the most salient share of the probe is blurred, of a genuine pair the least salient share. The paper's
    figure 4 has the masks and scores at the probe; image B is the probe here, and A stays as it is. The blur is that of
    insertion. Without a threshold nothing is measured, and the log says so.

    Writes blurring.parquet (schemas.blurring.BLURRING).

    Args:
        method: the entry of params.explanations.
        embedder: what gives a pair its score, and decides.
        params: the blur.
    """

    def __init__(self, method: str, embedder: Embedder, params: Explain) -> None:
        self._method, self._embedder, self._sigma_px = method, embedder, params.insertion_blur_sigma_px
        self._measured = list[tuple[SampledPair, Scores]]()
        if embedder.threshold is None:
            logger.warning("%s: no validation pairs gave a threshold, so no errors under blurring are counted", method)

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure."""
        if self._embedder.threshold is None or not pair.is_measured:
            return
        scores = blurred_scores(
            self._embedder,
            faces.inputs[1],
            faces.embeddings[0],
            found.maps[1],
            most=not pair.genuine,
            blur_sigma_px=self._sigma_px,
            tie_ranks=draw_tie_ranks(pair.rng(TIES), found.maps[1].size),
        )
        self._measured.append((pair, scores))

    def write(self, out: Path) -> dict[str, float]:
        """See Measure: <protocol>/fpr_mean, _low, _high and fnr likewise on the pairs as they are, and fpr_blurred,
        fnr_blurred with SHOWN_SHARE blurred.
        """
        rows = [self._row(*measured) for measured in self._measured]
        write_table(out / "blurring.parquet", table_from_rows(rows, BLURRING), BLURRING)
        figures: dict[str, float] = {}
        for genuine, name in ((False, "fpr"), (True, "fnr")):
            of_kind = [(pair, scores) for pair, scores in self._measured if pair.genuine == genuine]
            for protocol, bootstrap, chosen in of_protocols([pair for pair, _ in of_kind]):
                assert self._embedder.threshold is not None, "else nothing is measured"
                wrong = errors([of_kind[index][1] for index in chosen], self._embedder.threshold, genuine)
                for suffix, share in (("", 0.0), ("_blurred", SHOWN_SHARE)):
                    estimate = bootstrap.estimate(wrong[:, SHARES.index(share)])
                    figures |= flat_estimates(f"{protocol}/{name}{suffix}", estimate)
        return figures

    def _row(self, pair: SampledPair, scores: Scores) -> dict[str, object]:
        return {
            **pair.names,
            "genuine": pair.genuine,
            "method": self._method,
            "threshold": self._embedder.threshold,
            "shares": SHARES,
            "scores": scores,
        }
