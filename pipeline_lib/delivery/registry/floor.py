"""Whether a score knows more of faces than their pixels say: what a candidate must show before it answers as champion."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.table import score_columns
from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap, TooFewIdentities

KIND, CHANCE = "raw_pixel", 0.5  # the floor's kind of score; the AUC of a score that knows nothing
NUM_BOOTSTRAP, SEED = 1000, 1


@dataclass(frozen=True)
class Lead:
    """How far a score is ahead of the floor.

    Attributes:
        is_sure: whether its 95 % interval lies above 0.
        words: that it is or is not, with the figures; without a full stop.
    """

    is_sure: bool
    words: str


def lead_over_pixels(table: pa.Table, column: str, pairs: PairSet) -> Lead:
    """AUC of a score less that of raw pixels on the validation pairs, with a paired bootstrap over the identities.

    Where no column is of raw pixels the floor is chance, an AUC of 1/2.

    Args:
        table: data/verify/scores.parquet; holds validation pairs.
        column: of it.
        pairs: from read_pairs; who is on which image.

    Raises:
        DataError: see PairBootstrap.auc.
    """
    rows = table.filter(pc.equal(table["protocol"], VALIDATION))
    pixels = [name for name, about in score_columns(table).items() if about.kind == KIND]
    floor_name = "raw pixels" if pixels else "chance"
    people = np.array([list(pairs.owners(rows[side].to_pylist())) for side in ("image_a", "image_b")]).T
    try:
        bootstrap = PairBootstrap(people, rows["genuine"].to_numpy(), NUM_BOOTSTRAP, np.random.default_rng(SEED))
    except TooFewIdentities:
        return Lead(False, f"the validation pairs are of too few people to say whether it beats {floor_name}")
    floor = np.max([bootstrap.auc(rows[name].to_numpy()) for name in pixels], axis=0) if pixels else CHANCE
    ahead = 100 * (bootstrap.auc(rows[column].to_numpy()) - floor)
    low, high = interval(ahead[1:])
    figures = f"{ahead[0]:+.1f} points of AUC on the validation pairs, 95 %: {low:+.1f} to {high:+.1f}"
    if low > 0:
        return Lead(True, f"it beats {floor_name} ({figures})")
    return Lead(False, f"it does not surely beat {floor_name} ({figures})")
