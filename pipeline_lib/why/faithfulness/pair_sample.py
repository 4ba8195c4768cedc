"""Which test pairs are explained."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_lib.core.errors import DataError

Pair = tuple[str, str]


def sample_pairs(pairs: pa.Table, split_of: Mapping[str, str], genuine: bool, num: int, seed: int) -> list[Pair]:
    """Draw `num` pairs of one kind from the test protocols; all of them, in that drawn order, if there are fewer.

    Pairs whose images are not both aligned test images are out, and a pair counts once, whatever protocols name it. The
    draw depends only on the set of pairs and the seed, not on the order of the table; a larger `num` begins with the
    pairs of a smaller one.

    Args:
        pairs: a table of schemas.pairs.PAIRS.
        split_of: image id -> split, of the images that came out of alignment.
        genuine: which kind of pair.
        num: how many.
        seed: of the draw.

    Raises:
        DataError: there is no such pair.
    """
    if num == 0:
        return []
    rows: Collection[Any] = pairs.select(["image_a", "image_b", "genuine"]).to_pylist()
    found = {
        (row["image_a"], row["image_b"])
        for row in rows
        if row["genuine"] == genuine and all(split_of.get(row[side]) == "test" for side in ("image_a", "image_b"))
    }
    if not found:
        kind = "genuine" if genuine else "impostor"
        raise DataError(f"There is no {kind} pair of aligned test images to explain.", got=f"{pairs.num_rows} pairs")
    ordered = sorted(found)
    drawn = np.random.default_rng([seed, int(genuine)]).permutation(len(ordered))[:num]
    return [ordered[index] for index in drawn]
