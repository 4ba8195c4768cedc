"""Patch-swapped queries: whose squares, which pixels changed, and that the mask lies in the shard beside the image."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.parallel import Workers
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.data.occlusion.contact_sheet import WORDS_PX, contact_sheet, draw_sheet
from pipeline_lib.data.occlusion.draw import image_rng
from pipeline_lib.data.occlusion.occluded_set import write_occluded_set
from pipeline_lib.data.occlusion.patch_swap import strangers_of, swap_patches
from pipeline_lib.data.patches.squares import draw_squares
from pipeline_lib.data.shards.images import decode_image, encode_png
from pipeline_lib.data.shards.reader import ShardReader
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

LANDMARKS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32)
OCCLUDE = Occlude(
    kinds=["mask_ffp2", "patch_swap"],
    max_query_images=None,
    train_share=1.0,
    crop_share=0.7,
    seed=3,
)

SHARDS = Shards(format="png", images_per_shard=3)


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (112, 112, 3), dtype=np.uint8)


def write_aligned(folder: Path, people: dict[str, str]) -> None:
    """Six images, whose people and splits alternate as `people` says: name -> split."""
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", "aligned", 4) as writer:
        for number in range(6):
            name, split = list(people.items())[number % len(people)]
            who = {"image_id": f"im{number}", "identity": name, "split": split}
            writer.write(f"im{number}", {"png": encode_png(picture(number))}, **who, landmarks=LANDMARKS, score=1.0)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)


def members(folder: Path) -> dict[tuple[str, str], bytes]:
    index = read_table(folder / "index.parquet", SHARD_INDEX)
    reader = ShardReader(folder / "shards", index)
    return {(row["key"], row["member"]): reader.read(place) for place, row in enumerate(index.to_pylist())}


def test_the_set_keeps_the_changed_pixels_and_whose_they_are(tmp_path: Path) -> None:
    aligned, out = tmp_path / "align", tmp_path / "out"
    write_aligned(aligned, {"anna": "test", "bert": "test", "carl": "train"})
    write_occluded_set(aligned, out, OCCLUDE, SHARDS, Workers(0))
    rows = {row["key"]: row for row in read_table(out / "occlusions.parquet", OCCLUSIONS).to_pylist()}
    swaps = [key for key in rows if key.endswith("+patch_swap")]
    assert sorted(swaps) == [f"im{number}+patch_swap" for number in (0, 1, 3, 4)]
    assert {rows[key]["purpose"] for key in swaps} == {"query"}
    assert {row["kind"] for row in rows.values() if row["purpose"] == "train"} == {"mask_ffp2"}  # never patch_swap
    data = members(out)
    assert {member for key, member in data if key in swaps} == {"png", "json", "changed.png"}
    assert {member for key, member in data if key not in swaps} == {"png", "json"}
    for key in swaps:
        number = int(key[2])
        said = json.loads(rows[key]["drawn"])
        stranger = int(said["stranger"][2])
        assert (stranger - number) % 3 != 0  # another person, and of split test
        assert stranger in (0, 1, 3, 4)
        changed = cv2.imdecode(np.frombuffer(data[key, "changed.png"], np.uint8), cv2.IMREAD_UNCHANGED)
        image = decode_image(data[key, "png"])
        assert (changed.shape, set(np.unique(changed))) == ((112, 112), {0, 255})
        np.testing.assert_array_equal(changed > 0, (image != picture(number)).any(axis=2))
        np.testing.assert_array_equal(image[changed > 0], picture(stranger)[changed > 0])
        assert said["changed_share"] == pytest.approx((changed > 0).mean(), abs=1e-4)


def test_squares_and_strangers_follow_seed_and_image_alone(tmp_path: Path) -> None:
    first = swap_patches(picture(0), LANDMARKS, picture(1), "im1", 3, "im0")
    squares = draw_squares(image_rng(3, "im0", "patch_swap"))
    np.testing.assert_array_equal(first.image, np.where(squares[..., None], picture(1), picture(0)))
    other = swap_patches(picture(0), LANDMARKS, picture(1), "im1", 4, "im0")
    assert (first.changed != other.changed).any()
    write_aligned(tmp_path, {"anna": "test", "bert": "test"})
    images = read_table(tmp_path / "index.parquet", SHARD_INDEX)
    chosen = strangers_of(images, {"im0", "im3"}, 3)
    more = strangers_of(images, {"im0", "im3", "im5"}, 3)
    assert {name: more[name] for name in chosen} == chosen
    assert set(more) == {"im0", "im3", "im5"}


def test_one_person_has_no_stranger(tmp_path: Path) -> None:
    write_aligned(tmp_path / "align", {"anna": "test"})
    with pytest.raises(DataError, match=r"need another person[\s\S]*occlude\.kinds"):
        write_occluded_set(tmp_path / "align", tmp_path / "out", OCCLUDE, SHARDS, Workers(0))


def test_the_contact_sheet_shows_the_set_s_own_drawings(tmp_path: Path) -> None:
    aligned, out = tmp_path / "align", tmp_path / "out"
    write_aligned(aligned, {"anna": "test", "bert": "test"})
    write_occluded_set(aligned, out, OCCLUDE, SHARDS, Workers(0))
    data = members(out)
    sheet = draw_sheet(aligned, OCCLUDE, frozenset(), {})
    assert sheet.shape == (3 * 112, WORDS_PX + 6 * 112, 3)
    for number in range(6):
        column = sheet[:, WORDS_PX + 112 * number : WORDS_PX + 112 * (number + 1)]
        rows = [picture(number), *(decode_image(data[f"im{number}+{kind}", "png"]) for kind in OCCLUDE.kinds)]
        np.testing.assert_array_equal(column, np.concatenate(rows))
    assert (sheet[:, :WORDS_PX] < 128).any(axis=(1, 2)).reshape(3, 112).any(axis=1).all()  # each row says what it is


def test_a_sheet_without_queries_is_words_alone() -> None:
    assert contact_sheet({"as they are": [], "crop": []}).shape == (224, WORDS_PX, 3)
