"""Which pairs can be scored, and the name of those that only choose among trainings."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError

VALIDATION = "val"  # the protocol of the validation identities


def usable_pairs(pairs: pa.Table, image_ids: pa.Array) -> tuple[pa.Table, dict[str, int]]:
    """The pairs whose two images came out of alignment, and how many of each protocol did not.

    Args:
        pairs: a table of schemas.pairs.PAIRS.
        image_ids: strings, the aligned images.

    Raises:
        DataError: there are no pairs, or a protocol keeps none.
    """
    usable = pc.and_(pc.is_in(pairs["image_a"], image_ids), pc.is_in(pairs["image_b"], image_ids))
    kept = pairs.filter(usable)
    num_before, num_kept = (_counts(table["protocol"]) for table in (pairs, kept))
    if not num_before:
        raise DataError("There are no pairs to verify.", allowed="at least one protocol")
    empty = [name for name in num_before if name not in num_kept]
    if empty:
        raise DataError("No pair of a protocol has both its images aligned; see the rejects of align.", got=empty)
    return kept, {name: num - num_kept[name] for name, num in num_before.items()}


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each text comes, in the order in which they are met."""
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
