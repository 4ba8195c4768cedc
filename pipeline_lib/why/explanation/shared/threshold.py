"""The cosine at which a network takes two faces for one person, where an explanation depends on it."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.roc import equal_error_rate, roc_curve
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts, as_texts
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION, usable_pairs
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.pairs import PAIRS


def threshold_of(embedded: Path, pairs: Path) -> float | None:
    """That of the equal error rate on the validation pairs (METHODS, section 8); None where there are not both sorts of pairs.

    Args:
        embedded: the network's folder of stage embed.
        pairs: pairs.parquet of stage ingest.

    Raises:
        DataError: a file is missing or breaks its contract.
    """
    drawn = read_table(pairs, PAIRS)
    drawn = drawn.filter(pc.equal(drawn["protocol"], VALIDATION))
    found = read_embeddings(embedded)
    image_ids = as_texts(found.image_ids)
    usable, _ = usable_pairs(drawn, image_ids.column)
    genuine = usable["genuine"].to_numpy(zero_copy_only=False)
    if not genuine.any() or genuine.all():
        return None
    a, b = (found.vectors[image_ids.rows(Texts(usable[side]))] for side in ("image_a", "image_b"))
    return equal_error_rate(roc_curve(np.asarray(cosine(a, b), np.float64), genuine))[1]
