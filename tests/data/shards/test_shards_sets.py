"""Patch sets and occluded sets: what is in them, and the same bytes with 0, 1 and 2 workers."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.parallel import Workers
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.data.occlusion import occluded_set as occluded_module
from pipeline_lib.data.occlusion.draw import draw_occlusion, image_rng, training_kind
from pipeline_lib.data.occlusion.occluded_set import occlude_part, write_occluded_set
from pipeline_lib.data.patches.grid import Region, unique_regions
from pipeline_lib.data.patches.patch_set import region_patches, write_patch_sets
from pipeline_lib.data.shards.aligned import AlignedBatch, image_rows
from pipeline_lib.data.shards.images import decode_image, encode_png, is_image
from pipeline_lib.data.shards.reader import ShardReader, stream_shards
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

LANDMARKS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32)
SPLITS = ["train"] * 70 + ["val"] * 5 + ["test"] * 6  # more than one batch of 64 each way
KINDS = ("mask_surgical", "mask_cloth", "mask_n95", "sunglasses", "crop")
OCCLUDE = Occlude(kinds=list(KINDS), max_query_images=None, train_share=0.3, crop_share=0.7, seed=3)
SHARDS = Shards(format="png", images_per_shard=50)
REGIONS = [Region(56, 0, 28), Region(56, 28, 28), Region(28, 14, 84)]


def image_of(i: int) -> np.ndarray:
    coarse = np.random.default_rng(i).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def make_aligned(folder: Path, images, splits) -> Path:
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", "aligned", 40) as writer:
        for i, (image, split) in enumerate(zip(images, splits, strict=True)):
            members = {"png": image if isinstance(image, bytes) else encode_png(image), "json": b"{}"}
            name = f"image{i:03d}"
            writer.write(
                name,
                members,
                image_id=name,
                identity=f"person{i // 4}",
                split=split,
                landmarks=LANDMARKS + i % 3,
                score=0.9,
            )
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)
    return folder


@pytest.fixture(scope="module")
def aligned(tmp_path_factory) -> Path:
    return make_aligned(tmp_path_factory.mktemp("aligned"), map(image_of, range(len(SPLITS))), SPLITS)


@pytest.fixture(scope="module")
def patch_set(aligned, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("patches") / "sets"
    assert write_patch_sets(aligned, out, REGIONS, 5, SHARDS, Workers(0)) == 70
    return out


@pytest.fixture(scope="module")
def occluded_set(aligned, tmp_path_factory) -> tuple[Path, pa.Table, pa.Table]:
    return occlude(aligned, tmp_path_factory.mktemp("occluded"))


def occlude(
    aligned: Path, out: Path, settings=OCCLUDE, workers=Workers(0), **options
) -> tuple[Path, pa.Table, pa.Table]:
    """The folder of the shards, and the two tables that were written."""
    write_occluded_set(aligned, out, settings, SHARDS, workers, **options)
    index, occlusions = (
        read_table(out / "index.parquet", SHARD_INDEX),
        read_table(out / "occlusions.parquet", OCCLUSIONS),
    )
    return out / "shards", index, occlusions


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_rows_of_splits_come_in_order_and_know_their_images(aligned):
    batch = AlignedBatch(aligned / "shards", image_rows(aligned, ("train", "test")))
    rows = batch.rows()
    assert [row.key for row in rows] == [f"image{i:03d}" for i, split in enumerate(SPLITS) if split != "val"]
    assert np.array_equal(batch.image(batch.reader(), 75), image_of(80))
    assert rows[-1].split == "test"
    assert rows[-1].identity == "person20"
    assert np.allclose(rows[-1].landmarks, LANDMARKS + 2)


def test_patch_sets_hold_both_patches_of_every_training_image(patch_set):
    assert sorted(path.name for path in patch_set.iterdir()) == sorted(region.name for region in REGIONS)
    for region in REGIONS:
        folder = patch_set / region.name
        assert sorted(digests(folder)) == ["index.parquet", "patches-000000.tar", "patches-000001.tar"]
        index = read_table(folder / "index.parquet", SHARD_INDEX)
        reader = ShardReader(folder, index)
        assert len(index) == 140
        for i, row in enumerate(index.to_pylist()):
            image = image_of(i // 2)
            if row["member"] == "mirror.png":
                image = image[:, ::-1]
            side = region.size_px + 10
            padded = np.pad(image, ((5, 5), (5, 5), (0, 0)), mode="edge")
            expected = padded[region.y : region.y + side, region.x : region.x + side]
            assert np.array_equal(decode_image(reader.read(i)), expected)
            assert (row["key"], row["split"], row["identity"]) == (f"image{i // 2:03d}", "train", f"person{i // 8}")
    [sample, *_] = stream_shards(patch_set / REGIONS[0].name)
    assert sorted(key for key in sample if key[0] != "_") == ["mirror.png", "patch.png"]


def test_the_two_patches_are_the_two_halves_of_a_mirror_identity():
    image = image_of(1)
    for region in unique_regions(28):
        patch, mirror = region_patches(image, region, 5)
        other_patch, other_mirror = region_patches(image[:, ::-1], region, 5)
        assert np.array_equal(patch, other_mirror)
        assert np.array_equal(mirror, other_patch)


def test_occluded_sets_hold_what_was_planned(aligned, occluded_set):
    folder, index, occlusions = occluded_set
    assert occlusions.schema == OCCLUSIONS
    expected = []
    for i, split in enumerate(SPLITS):
        name = f"image{i:03d}"
        if split == "test":
            expected += [(f"{name}+{kind}", kind, "query") for kind in KINDS]
        elif split == "train" and (kind := training_kind(3, name, list(KINDS), 0.3)):
            expected.append((f"{name}+{kind}", kind, "train"))
    rows = occlusions.to_pylist()
    assert [(row["key"], row["kind"], row["purpose"]) for row in rows] == expected
    assert 10 < sum(row["purpose"] == "train" for row in rows) < 35
    members = index.to_pylist()
    assert [(row["key"], row["member"]) for row in members] == [(k, m) for k, _, _ in expected for m in ("json", "png")]
    reader = ShardReader(folder, index)
    for i, row in enumerate(rows):
        number = int(row["image_id"][5:])
        rng = image_rng(3, row["image_id"], row["kind"])
        picture, drawn = draw_occlusion(image_of(number), LANDMARKS + number % 3, row["kind"], rng, 0.7)
        assert np.array_equal(decode_image(reader.read(2 * i + 1)), picture)
        assert json.loads(row["drawn"]) == drawn
        label = json.loads(reader.read(2 * i))
        assert (label["image_id"], label["kind"], label["purpose"]) == (row["image_id"], row["kind"], row["purpose"])
        assert np.allclose(np.ravel(label["landmarks"]), members[2 * i]["landmarks"])
        moved = not np.allclose(members[2 * i]["landmarks"], np.ravel(LANDMARKS + number % 3))
        assert moved == (row["kind"] == "crop")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_rerun_gives_the_same_bytes_whatever_the_number_of_workers(
    aligned, patch_set, occluded_set, tmp_path, num_workers
):
    workers = Workers(num_workers)
    write_patch_sets(aligned, tmp_path / "patches", REGIONS, 5, SHARDS, workers)
    occlude(aligned, tmp_path / "occluded", workers=workers)
    assert digests(tmp_path / "patches") == digests(patch_set)
    assert digests(tmp_path / "occluded") == digests(occluded_set[0].parent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["occluded", "patches"]  # no work folder is left


def test_a_regions_shards_are_the_same_whatever_regions_are_cut_beside_it(aligned, patch_set, tmp_path):
    write_patch_sets(aligned, tmp_path / "patches", REGIONS[1:2], 5, SHARDS, Workers(0))
    assert digests(tmp_path / "patches") == {
        name: digest for name, digest in digests(patch_set).items() if name.startswith(f"{REGIONS[1].name}/")
    }


def test_jpeg_sets_hold_the_same_images_nearly_and_are_smaller(aligned, occluded_set, tmp_path):
    jpeg = Shards(format="jpeg", images_per_shard=50)
    write_occluded_set(aligned, tmp_path, OCCLUDE, jpeg, Workers(0))
    index = read_table(tmp_path / "index.parquet", SHARD_INDEX)
    assert set(index["member"].to_pylist()) == {"jpg", "json"}
    folder, exact, _ = occluded_set
    pairs = [(tmp_path / "shards", index), (folder, exact)]
    found, expected = ([decode_image(data) for data in images_in(*pair)] for pair in pairs)
    assert len(found) == len(expected)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(found, expected, strict=True)) < 5


def images_in(folder: Path, index: pa.Table) -> list[bytes]:
    images = index.filter(is_image(index))
    reader = ShardReader(folder, images)
    return [reader.read(row) for row in range(len(images))]


def killing_part(rows, **arguments):
    """occlude_part, where one image ends the process or the stage that waits for it, the first time."""
    if any(row["image_id"] == "image078" for row in rows) and not Path("killed").exists():
        Path("killed").touch()
        os.kill({"process": os.getpid, "stage": os.getppid}[os.environ["KILL"]](), signal.SIGKILL)
        os._exit(1)
    with open("computed", "a") as file:
        file.write("".join(f"{row['image_id']}\n" for row in rows))
    return occlude_part(rows, **arguments)


def occlude_killing(aligned: str, out: str) -> None:
    occluded_module.occlude_part = killing_part
    write_occluded_set(Path(aligned), Path(out), OCCLUDE, Shards(format="png", images_per_shard=10), Workers(0))


@pytest.mark.parametrize("kill", ["process", "stage"])
def test_a_kill_in_the_middle_changes_no_byte_and_loses_no_finished_shard(aligned, tmp_path, monkeypatch, kill):
    shards = Shards(format="png", images_per_shard=10)
    write_occluded_set(aligned, tmp_path / "whole", OCCLUDE, shards, Workers(0))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILL", kill)
    monkeypatch.setattr(occluded_module, "occlude_part", killing_part)
    if kill == "stage":
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        command = f"import {__name__} as t; t.occlude_killing({str(aligned)!r}, 'out')"
        assert subprocess.run([sys.executable, "-c", command], check=False).returncode == -signal.SIGKILL
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".shards.work"]
    before = Path("computed").read_text().split() if kill == "stage" else []
    assert bool(before) == (kill == "stage")
    write_occluded_set(aligned, tmp_path / "out", OCCLUDE, shards, Workers(0))
    assert Path("killed").exists()
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    computed = Path("computed").read_text().split()
    assert len(computed) == len(set(computed))


def test_workers_in_another_folder_find_the_shards(aligned, occluded_set, tmp_path, monkeypatch):
    """A worker of a cluster was started somewhere else than the stage, which names its folders relative to its own."""
    from distributed import LocalCluster

    monkeypatch.chdir(tmp_path)
    with LocalCluster(n_workers=1, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
        monkeypatch.chdir(aligned.parent)
        occlude(Path(aligned.name), tmp_path / "occluded", workers=Workers(0, cluster.scheduler_address))
    assert digests(tmp_path / "occluded") == digests(occluded_set[0].parent)


def test_more_images_do_not_change_the_occlusions_of_the_others(occluded_set, tmp_path):
    few = make_aligned(tmp_path / "few", [image_of(i) for i in range(20)], ["train"] * 20)
    rows = occlude(few, tmp_path / "out")[2].to_pylist()
    assert rows
    assert rows == occluded_set[2].to_pylist()[: len(rows)]


def test_nothing_to_do_gives_empty_sets(tmp_path):
    only_val = make_aligned(tmp_path / "val", [image_of(0)], ["val"])
    assert write_patch_sets(only_val, tmp_path / "patches", REGIONS[:1], 5, SHARDS, Workers(0)) == 0
    assert len(read_table(tmp_path / "patches" / REGIONS[0].name / "index.parquet", SHARD_INDEX)) == 0
    folder, index, occlusions = occlude(only_val, tmp_path / "occluded")
    assert (len(index), len(occlusions)) == (0, 0)
    assert not list(folder.iterdir())


def test_no_regions_are_no_pass_and_an_empty_folder_in_the_place_of_what_was_there(aligned, tmp_path):
    (tmp_path / "patches" / "old").mkdir(parents=True)
    assert write_patch_sets(aligned, tmp_path / "patches", [], 5, SHARDS, Workers(0)) == 0
    assert not list((tmp_path / "patches").iterdir())


@pytest.mark.parametrize(
    ("bad", "message"),
    [(b"no picture", "cannot be decoded"), (np.zeros((96, 112, 3), np.uint8), "another size")],
)
def test_a_bad_aligned_image_stops_the_stage_and_is_named(tmp_path, bad, message):
    broken = make_aligned(tmp_path / "broken", [image_of(0), bad], ["train", "train"])
    with pytest.raises(DataError, match=message) as error:
        write_patch_sets(broken, tmp_path / "out", REGIONS[:1], 5, SHARDS, Workers(0))
    assert "aligned-000000.tar, image001" in str(error.value)


def test_a_missing_aligned_set_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="run the stage that writes it"):
        write_patch_sets(tmp_path, tmp_path / "out", REGIONS[:1], 5, SHARDS, Workers(0))


def test_profiles_are_queries_as_they_are_and_nothing_is_drawn_on_them(aligned, tmp_path):
    """Of the six test images (75 to 80) two are profiles; images of other splits of that view are as the others."""
    settings = OCCLUDE.model_copy(update={"kinds": ["mask_cloth+crop", "sunglasses"], "max_query_images": 3})
    profiles = frozenset(["image076", "image079"])
    folder, index, occlusions = occlude(aligned, tmp_path, settings, profiles=profiles)
    queries = [row for row in occlusions.to_pylist() if row["purpose"] == "query"]
    assert [row["key"] for row in queries if row["kind"] == "profile"] == ["image076+profile", "image079+profile"]
    drawn_on = [row["image_id"] for row in queries if row["kind"] != "profile"]
    assert len(drawn_on) == 2 * 3
    assert not set(drawn_on) & profiles
    assert [row["drawn"] for row in queries if row["kind"] == "profile"] == ['{"kind": "profile"}'] * 2
    reader, members = ShardReader(folder, index), index.to_pylist()
    stored = ShardReader(aligned / "shards", read_table(aligned / "index.parquet", SHARD_INDEX))
    sizes = read_table(aligned / "index.parquet", SHARD_INDEX).to_pylist()
    for name in sorted(profiles):
        [place] = [i for i, row in enumerate(members) if (row["key"], row["member"]) == (f"{name}+profile", "png")]
        [original] = [i for i, row in enumerate(sizes) if (row["key"], row["member"]) == (name, "png")]
        assert reader.read(place) == stored.read(original)
        assert members[place]["landmarks"] == sizes[original]["landmarks"]
    [cut] = [row for row in queries if row["key"] == f"{drawn_on[0]}+mask_cloth+crop"]
    assert [part["kind"] for part in json.loads(cut["drawn"])["each"]] == ["mask_cloth", "crop"]
    [member] = [row for row in members if (row["key"], row["member"]) == (cut["key"], "png")]
    assert not np.allclose(member["landmarks"], np.ravel(LANDMARKS + int(drawn_on[0][5:]) % 3))
