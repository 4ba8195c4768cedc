"""Which pairs can be scored, and the name of those that only choose among trainings."""

from collections import Counter
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError

VALIDATION = "val"  # the protocol of the validation identities


def usable_pairs(pairs: pa.Table, image_ids: Collection[str]) -> tuple[pa.Table, dict[str, int]]:
    """The pairs whose two images came out of alignment, and how many of each protocol did not.

    Args:
        pairs: a table of schemas.pairs.PAIRS.
        image_ids: the aligned images.

    Raises:
        DataError: there are no pairs, or a protocol keeps none.
    """
    known = pa.array(sorted(image_ids), pa.string())
    usable = pc.and_(pc.is_in(pairs["image_a"], known), pc.is_in(pairs["image_b"], known))
    kept = pairs.filter(usable)
    num_before, num_kept = (Counter(table["protocol"].to_pylist()) for table in (pairs, kept))
    if not num_before:
        raise DataError("There are no pairs to verify.", allowed="at least one protocol")
    empty = [name for name in num_before if not num_kept[name]]
    if empty:
        raise DataError("No pair of a protocol has both its images aligned; see the rejects of align.", got=empty)
    return kept, {name: num - num_kept[name] for name, num in num_before.items()}
