"""The cosine at which a network takes two faces for one person, where an explanation depends on it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.roc import Bools, Doubles, equal_error_rate, roc_curve
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts, as_texts
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION, usable_pairs
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.why.explanation.shared.confidence import Confidence, fit_confidence


class Point(NamedTuple):
    """The equal error rate of a cosine, in [0, 1], and the threshold at which it is reached."""

    rate: float
    threshold: float


def equal_error(embedded: Path, pairs: Path, protocol: str) -> Point | None:
    """Of a network's cosine on a protocol's pairs; None where it has not both sorts of pairs.

    Args:
        embedded, pairs, protocol: see pair_cosines.

    Raises:
        DataError: see pair_cosines.
    """
    found = pair_cosines(embedded, pairs, protocol)
    return None if found is None else Point(*equal_error_rate(roc_curve(*found))[:2])


def pair_cosines(embedded: Path, pairs: Path, protocol: str) -> tuple[Doubles, Bools] | None:
    """Cosines (N,) of a protocol's pairs and whether each is genuine (N,); None where it has not both sorts.

    Args:
        embedded: the network's folder of stage embed.
        pairs: pairs.parquet of stage ingest.
        protocol: the validation pairs' for what decides (METHODS, section 8), a test protocol's for its own clean pairs.

    Raises:
        DataError: a file is missing or breaks its contract.
    """
    drawn = read_table(pairs, PAIRS)
    drawn = drawn.filter(pc.equal(drawn["protocol"], protocol))
    if not drawn.num_rows:
        return None
    found = read_embeddings(embedded)
    image_ids = as_texts(found.image_ids)
    usable, _ = usable_pairs(drawn, image_ids.column)
    genuine = usable["genuine"].to_numpy(zero_copy_only=False)
    if not genuine.any() or genuine.all():
        return None
    a, b = (found.vectors[image_ids.rows(Texts(usable[side]))] for side in ("image_a", "image_b"))
    return np.asarray(cosine(a, b), np.float64), genuine


def decision_of(embedded: Path, pairs: Path) -> tuple[float, Confidence] | tuple[None, None]:
    """A network's threshold, that of the equal error rate on the validation pairs, and xFace's confidence fitted on them.

    Raises:
        DataError: see pair_cosines, fit_confidence.
    """
    found = pair_cosines(embedded, pairs, VALIDATION)
    if found is None:
        return None, None
    threshold = equal_error_rate(roc_curve(*found))[1]
    return threshold, fit_confidence(*found, threshold)
