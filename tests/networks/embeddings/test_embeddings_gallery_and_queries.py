"""Which images make the gallery, and which are queries."""

from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.gallery_and_queries import gallery_rows, query_part
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from tests.networks.embedding.fitted_networks import write_set

KEYS = ["im00", "im01", "im02", "im03"]


def drawn(*keys: str, purpose: str = "query") -> list[dict[str, object]]:
    return [
        {
            "key": key,
            "image_id": key.partition("+")[0],
            "kind": key.partition("+")[2],
            "purpose": purpose,
            "drawn": "{}",
        }
        for key in keys
    ]


def test_the_gallery_is_the_test_images_without_profiles(tmp_path: Path) -> None:
    write_set(tmp_path, KEYS, ["train", "test", "test", "test"])
    images = ShardImages(tmp_path)
    table = table_from_rows(drawn("im02+profile", "im03+crop", "im00+profile"), OCCLUSIONS)
    assert gallery_rows(images, table) == [1, 3]
    assert gallery_rows(images, table.slice(0, 0)) == [1, 2, 3]
    with pytest.raises(DataError, match=r"gallery is empty[\s\S]*3 images of split test, 3 of them profiles"):
        gallery_rows(images, table_from_rows(drawn(*(f"{key}+profile" for key in KEYS[1:])), OCCLUSIONS))


def test_no_test_image_is_an_empty_gallery(tmp_path: Path) -> None:
    write_set(tmp_path, KEYS, ["train", "train", "val", "val"])
    with pytest.raises(DataError, match=r"gallery is empty[\s\S]*0 images of split test"):
        gallery_rows(ShardImages(tmp_path), table_from_rows([], OCCLUSIONS))


def test_queries_in_shard_order(tmp_path: Path) -> None:
    keys = ["im00+crop", "im01+mask_cloth+crop", "im02+profile"]
    write_set(tmp_path, keys, ["train", "test", "test"])
    rows = drawn(keys[2], keys[1]) + drawn(keys[0], purpose="train")
    write_table(tmp_path / "occlusions.parquet", table_from_rows(rows, OCCLUSIONS), OCCLUSIONS)
    part = query_part(tmp_path)
    assert (part.rows, part.kinds) == ([1, 2], ["mask_cloth+crop", "profile"])


@pytest.mark.parametrize(
    ("keys", "message"),
    [(["im09+crop"], r"no image[\s\S]*im09\+crop"), (["im00+crop", "im00+crop"], r"named twice[\s\S]*im00\+crop")],
)
def test_queries_without_an_image_or_named_twice(tmp_path: Path, keys: list[str], message: str) -> None:
    write_set(tmp_path, ["im00+crop"], ["test"])
    write_table(tmp_path / "occlusions.parquet", table_from_rows(drawn(*keys), OCCLUSIONS), OCCLUSIONS)
    with pytest.raises(DataError, match=message):
        query_part(tmp_path)
