"""One look at all kinds: a few queries as they are, and below them what each kind makes of them."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.occlusion.occluded_set import batch_of, occluded_images, planned_rows
from pipeline_lib.data.occlusion.template import Template
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.params.occlude import Occlude

MOST_FACES = 8
WORDS_PX = 150
LINE_CHARACTERS = 20


def draw_sheet(
    aligned: Path, occlude: Occlude, profiles: frozenset[str], templates: Mapping[str, Template]
) -> npt.NDArray[np.uint8]:
    """The queries of the lowest hashes, MOST_FACES or fewer, and each of occlude.kinds on them, as the set has them.

    For the arguments see occluded_set.write_occluded_set, for what is returned contact_sheet.
    """
    most = min(MOST_FACES, occlude.max_query_images or MOST_FACES)
    few = occlude.model_copy(update={"max_query_images": most, "train_share": 0.0})
    queries = [row for row in planned_rows(aligned, few, profiles).to_pylist() if row["kinds"] == few.kinds]
    batch = batch_of(queries, aligned / "shards")
    reader = batch.reader()
    rows = {name: list[npt.NDArray[np.uint8]]() for name in ("as they are", *occlude.kinds)}
    rows["as they are"] += [batch.image(reader, place) for place in range(len(batch))]
    for one in occluded_images(queries, aligned / "shards", few, "png", templates):
        rows[one.kind].append(decode_image(one.data))
    return contact_sheet(rows)


def contact_sheet(rows: dict[str, list[npt.NDArray[np.uint8]]]) -> npt.NDArray[np.uint8]:
    """Rows of faces with the row's name at their left.

    Args:
        rows: name -> as many faces as every other row has, uint8 RGB (112, 112, 3); at least one.

    Returns:
        uint8 RGB.
    """
    lines = [np.concatenate([_words(name), *faces], axis=1) for name, faces in rows.items()]
    return np.concatenate(lines)


def _words(name: str) -> npt.NDArray[np.uint8]:
    panel = np.full((FACE_PX, WORDS_PX, 3), 255, np.uint8)
    pieces = [name[first : first + LINE_CHARACTERS] for first in range(0, len(name), LINE_CHARACTERS)]
    for number, piece in enumerate(pieces):
        cv2.putText(panel, piece, (6, 58 + 16 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (29, 35, 41), 1, cv2.LINE_AA)
    return panel
