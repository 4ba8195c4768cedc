"""One photograph of each training identity (DAM's real-db, section 3.2)."""

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.kind import Found, Inputs, draw_some
from pipeline_lib.matching.anchors.shared.settings import FromNothing

OF_TRAINING = True


class Settings(FromNothing):
    """No keys of its own."""


def find(settings: Settings, inputs: Inputs) -> Found:
    """One image drawn from each identity, the identities gone through by name, then at most max_anchors of the identities.

    Raises:
        DataError: there is no training image.
    """
    faces, rng = inputs.training, np.random.default_rng(inputs.entry.seed)
    rows_of: dict[str, list[int]] = {}
    for row, identity in enumerate(faces.identities):
        rows_of.setdefault(identity, []).append(row)
    if not rows_of:
        raise DataError("No image can be an anchor.", allowed="aligned images of the train split")
    drawn = np.array([rows_of[name][rng.integers(len(rows_of[name]))] for name in sorted(rows_of)])
    rows = np.sort(drawn[draw_some(len(drawn), inputs.entry.max_anchors, rng)])
    return Found([faces.image_ids[row] for row in rows], [faces.identities[row] for row in rows], faces.vectors[rows])
