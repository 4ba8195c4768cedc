"""What the training stages read, at the smallest size: 12 faces of three people, four of two others to validate with."""

from pathlib import Path

import cv2
import numpy as np

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX


def picture(side: int, rng: np.random.Generator) -> bytes:
    return encode_png(cv2.resize(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8), (side, side)))


def write_images(folder: Path, index: Path, side: int, members: list[str]) -> None:
    """12 images of three people to train on, and four of two others to validate with."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with ShardWriter(folder, "set", images_per_shard=100) as writer:
        for i in range(12):
            content = {member: picture(side, rng) for member in members}
            person, landmarks = f"person{i % 3}", np.zeros((5, 2), np.float32)
            writer.write(
                f"i{i}", content, image_id=f"i{i}", identity=person, split="train", landmarks=landmarks, score=1.0
            )
        for i in range(4):
            content = {member: picture(side, rng) for member in members}
            person, landmarks = f"other{i % 2}", np.zeros((5, 2), np.float32)
            writer.write(
                f"v{i}", content, image_id=f"v{i}", identity=person, split="val", landmarks=landmarks, score=1.0
            )
    write_table(index, writer.index(), SHARD_INDEX)


def write_stage_data(data: Path) -> None:
    """Aligned and occluded faces, pairs, and the patches of p28_x0_y0, below `data` as ingest to shard_patches leave them."""
    write_images(data / "align" / "shards", data / "align" / "index.parquet", 112, ["png"])
    write_images(data / "occlude" / "shards", data / "occlude" / "index.parquet", 112, ["png"])
    rows = [{"key": "i0", "image_id": "i0", "kind": "crop", "purpose": "train", "drawn": "{}"}]
    write_table(data / "occlude" / "occlusions.parquet", table_from_rows(rows, OCCLUSIONS), OCCLUSIONS)
    pairs = [("v0", "v2", True), ("v1", "v3", True), ("v0", "v1", False), ("v2", "v3", False)]
    rows = [{"protocol": "val", "fold": 0, "image_a": a, "image_b": b, "genuine": genuine} for a, b, genuine in pairs]
    write_table(data / "ingest" / "pairs.parquet", table_from_rows(rows, PAIRS), PAIRS)
    position = data / "patches" / "p28_x0_y0"
    write_images(position, position / "index.parquet", 38, ["patch.png", "mirror.png"])
