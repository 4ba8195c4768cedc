"""A weighted sum of regions' cosines (RRFNet, eq. 2) as an explanation: what each place of the face adds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import pixel_map

METHOD = "regions"
WORDS = (
    "Each part of the face has a network of its own; the parts' cosines, each times its weight, add up to the similarity "
    "exactly. A part and its mirror image on the other side of the face share one cosine, of which each is given half."
)


def region_sum(positions: Sequence[str], parts: npt.NDArray[np.float64]) -> Explanation:
    """Spread what each region adds over its place and its mirror image's, half each; a middle one has one place.

    A region is compared with the same region alone, so the terms are a diagonal.

    Args:
        positions: K regions' names.
        parts: float64 (K,), see Scorer.parts.
    """
    places, shares = [], []
    for name, part in zip(positions, parts.tolist(), strict=True):
        region = parse_region(name)
        both = dict.fromkeys((region, region.mirror))
        places += [[place.x, place.y, place.size_px, place.size_px] for place in both]
        shares += [part / len(both)] * len(both)
    boxes, values = np.array(places, np.int64), np.array(shares, np.float64)
    one = pixel_map(values, boxes).astype(np.float32)
    return Explanation(np.stack([one, one]), float(parts.sum()), np.diag(values), boxes)
