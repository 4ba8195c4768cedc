"""Section `shards`: how the images lie on disk, of every stage that writes some."""

from typing import Literal

from pipeline_lib.params.section import Positive, Section


class Shards(Section):
    """Tars of images.

    `format`: png, which keeps every pixel, or jpeg (quality 95, 4:4:4), a third of the bytes and decoded in a quarter of the
    time (docs/benchmarks.md). `images_per_shard`: so many photographs or faces are a worker's piece of
    work and become one tar: small enough that every worker has several, large enough that files are few.
    """

    format: Literal["png", "jpeg"] = "png"
    images_per_shard: Positive = 200
