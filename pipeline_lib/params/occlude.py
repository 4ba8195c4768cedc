"""Section `occlude`: occluded training images and queries."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import Positive, Section, Share


class Occlude(Section):
    """Occluded images: a share of the training images, and test images in every kind as queries.

    `max_query_images` test images are drawn as queries, null takes all.
    """

    kinds: list[Literal["mask_surgical", "mask_cloth", "mask_n95", "sunglasses", "crop"]]
    max_query_images: Positive | None
    train_share: Share
    crop_share: Annotated[float, Field(gt=0.0, le=1.0)]
    images_per_shard: Positive
    seed: int
