"""Patch-swapped queries: a face with squares of another person's, and which pixels they changed (Patch-LFW's rule)."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.occlusion.draw import Drawing, image_rng
from pipeline_lib.data.patches.squares import Mask, draw_squares, draw_stranger, swapped
from pipeline_lib.params.occlude import PATCH_SWAP

if TYPE_CHECKING:
    import pyarrow as pa

CHANGED = "changed.png"  # the member with the changed pixels: grey, 255 where changed, 0 elsewhere


def swap_patches(
    image: npt.NDArray[np.uint8],
    landmarks: npt.ArrayLike,
    stranger: npt.NDArray[np.uint8],
    stranger_id: str,
    seed: int,
    image_id: str,
) -> Drawing:
    """Give an image 27 squares of a stranger's, each at its own place (Huber et al., papers/xssab.md, section 4.2).

    Args:
        image, stranger: uint8 RGB (112, 112, 3), aligned.
        landmarks: (5, 2) px of `image`, which stay.
        stranger_id: its image id, for the record.
        seed, image_id: decide where the squares lie (draw.image_rng).
    """
    patched, changed = swapped(image, stranger, draw_squares(image_rng(seed, image_id, PATCH_SWAP)))
    drawn = {"kind": PATCH_SWAP, "stranger": stranger_id, "changed_share": round(float(changed.mean()), 4)}
    return Drawing(patched, np.asarray(landmarks, np.float32), drawn, changed)


def strangers_of(images: "pa.Table", queries: Collection[str], seed: int) -> dict[str, int]:
    """Whose squares each query gets: query -> the row of an image of somebody else, drawn by seed and image id.

    Args:
        images: schemas.shard_index.SHARD_INDEX, one row an image that may be a stranger; the queries are among them.
        queries: image ids.
        seed: of the draw.

    Raises:
        DataError: they show one person only.
    """
    from pipeline_lib.core.texts import Texts

    people, names = Texts(images["identity"]).numbered()
    if queries and len(names) < 2:
        raise DataError(
            "Squares of another person's face need another person.",
            got=f"test images of {len(names)}",
            allowed="two people in split test, or occlude.kinds without patch_swap",
            where="occlude.kinds",
        )
    chosen = {}
    for row, image_id in enumerate(Texts(images["image_id"])):
        if image_id in queries:
            chosen[image_id] = draw_stranger(people, people[row], image_rng(seed, image_id, "stranger"))
    return chosen


def encode_changed(changed: Mask) -> bytes:
    """The member CHANGED, a PNG of one channel, of bool (112, 112)."""
    done, data = cv2.imencode(".png", np.where(changed, np.uint8(255), np.uint8(0)))
    assert done, "OpenCV writes PNG"
    return data.tobytes()
