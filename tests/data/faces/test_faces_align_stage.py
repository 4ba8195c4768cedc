"""The align stage on drawn photographs with a detector that reads the drawing: files, rejects, bytes, a killer, a full disk."""

import contextlib
import errno
import io
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import stages.align
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.faces import align_batch as batch_module
from pipeline_lib.data.faces.aligned_set import align_part
from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.data.shards.reader import ShardReader, stream_shards
from pipeline_lib.schemas.candidates import CANDIDATES
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

KILLER = 3  # faces that are too many for the detector


class RedBoxes:
    """Finds squares: the red channel of the first column says how many and how large; KILLER of them end its process."""

    def detect(self, images):
        if any(image[0, 0, 0] // 80 == KILLER for image in images):
            os._exit(1)
        return [[self.face(image) for _ in range(int(image[0, 0, 0]) // 80)] for image in images]

    def face(self, image: np.ndarray) -> Face:
        side = float(image[0, 1, 0])
        return Face(np.array([20, 10, 20 + side, 10 + side], np.float32), 0.75, TEMPLATE + np.float32([3, 2]))


def red_align_part(rows, **arguments):
    """align_part with RedBoxes in a process of its own, or with the stage's detector in the stage's, which asks for nothing.

    KILL is what ends when photograph `two` is met first: the process, or the stage that waits for it.
    """
    if not rows:
        return align_part(rows, **arguments)
    with open("computed", "a") as file:
        file.write("".join(f"{row['image_id']}\n" for row in rows))
    kill = os.environ.get("KILL")
    if kill and "two" in [row["image_id"] for row in rows] and not Path("killed").exists():
        Path("killed").touch()
        os.kill({"process": os.getpid, "stage": os.getppid}[kill](), signal.SIGKILL)
        os._exit(1)
    batch_module.make_detector = lambda *arguments, **options: RedBoxes()
    batch_module.RUN_PIXELS = int(os.environ.get("RUN_PIXELS", batch_module.RUN_PIXELS))
    return align_part(rows, **arguments)


@contextlib.contextmanager
def record(stage, params, inputs):
    yield Recorder()


class Recorder:
    metrics: dict[str, float]

    def log_metrics(self, metrics):
        Recorder.metrics |= metrics


def run_recorded():
    """The stage, in a process that a test starts for it."""
    Recorder.metrics, stages.align.stage_run, stages.align.align_part = {}, record, red_align_part
    run()


def png(num_faces: int, side: int, seed: int) -> bytes:
    image = np.random.default_rng(seed).integers(0, 256, (130, 140, 3), dtype=np.uint8)
    image[0, 0, 0], image[0, 1, 0] = num_faces * 80, side
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def project(tmp_path, monkeypatch, repository):
    """A working directory with params.yaml, nine photographs (three of them bad) and their manifest."""
    monkeypatch.chdir(tmp_path)
    files = {f"good{n}": png(1, 100, n) for n in range(6)}
    files |= {
        "two": png(2, 100, 7),
        "none": png(0, 100, 8),
        "small": png(1, 30, 9),
        "text": b"not a picture",
        "empty": b"",
    }
    files |= {"cut": files["good0"][:-3000]}
    (tmp_path / "photos").mkdir()
    rows = []
    for name, data in files.items():
        (tmp_path / "photos" / f"{name}.png").write_bytes(data)
        rows.append(
            {
                "image_id": name,
                "identity": f"id_{name[:4]}",
                "split": "train",
                "media": name,
                "uri": f"photos/{name}.png",
                "width": 140,
                "height": 130,
                "sha256": "0" * 64,
                "landmarks": None,
            }
        )
    rows.append(rows[0] | {"image_id": "gone", "uri": "photos/gone.png"})
    write_table(Path("manifest.parquet"), table_from_rows(rows, MANIFEST), MANIFEST)
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["align"] |= {"max_reject_share": 0.6}
    params["shards"] = {"format": "png", "images_per_shard": 4}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("machine.yaml").write_text("{workers: 0, photographs_per_batch: 4}")
    monkeypatch.setattr(stages.align, "align_part", red_align_part)
    Recorder.metrics = {}
    monkeypatch.setattr(stages.align, "stage_run", record)
    return tmp_path


def run(out: str = "out") -> Path:
    stages.align.main(manifest=Path("manifest.parquet"), out=Path(out))
    return Path(out)


def tree(folder: Path) -> dict[str, bytes]:
    """The outputs in a folder, without what waits to be gone on with."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {name: path.read_bytes() for path in files if not (name := str(path.relative_to(folder))).startswith(".")}


def test_every_photograph_is_a_face_or_a_reject(project):
    out = run()
    rejects = read_table(out / "rejects.parquet", REJECTS).to_pylist()
    assert {row["image_id"]: row["reason"] for row in rejects} == {
        "two": "several_faces",
        "none": "no_face",
        "small": "too_small",
        "text": "not_an_image",
        "empty": "empty",
        "cut": "truncated",
        "gone": "unreadable",
    }
    assert {row["stage"] for row in rejects} == {"align"}
    assert str(project) not in str(rejects)  # the same table on another machine
    index = read_table(out / "index.parquet", SHARD_INDEX)
    assert index["key"].to_pylist() == [f"good{n}" for n in range(6) for _ in range(2)]  # manifest order, png and json
    assert sorted(path.name for path in (out / "shards").iterdir()) == ["aligned-000000.tar", "aligned-000001.tar"]
    assert Recorder.metrics["num_aligned"] == 6
    assert Recorder.metrics["num_rejected"] == 7
    assert Recorder.metrics["num_rejected_several_faces"] == 1


def test_every_face_that_was_found_is_kept_with_whether_it_was_chosen(project):
    rows = read_table(run() / "candidates.parquet", CANDIDATES).to_pylist()
    found = [(row["image_id"], row["chosen"]) for row in rows]
    assert found == [(f"good{n}", True) for n in range(6)] + [("two", False), ("two", False), ("small", False)]
    assert (rows[0]["box"], rows[0]["score"]) == ([20, 10, 120, 110], 0.75)
    np.testing.assert_allclose(np.reshape(rows[0]["landmarks"], (5, 2)), TEMPLATE + np.float32([3, 2]))


def test_of_several_faces_the_one_at_the_manifests_box_is_aligned(project):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["align"]["several_faces"] = "box"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    boxes = {"two": [25.0, 5.0, 115.0, 105.0], "good1": [0.0, 0.0, 9.0, 9.0]}
    manifest = [
        row | {"box": boxes.get(row["image_id"])} for row in read_table(Path("manifest.parquet"), MANIFEST).to_pylist()
    ]
    write_table(Path("manifest.parquet"), table_from_rows(manifest, MANIFEST), MANIFEST)
    out = run()
    reasons = {row["image_id"]: row["reason"] for row in read_table(out / "rejects.parquet", REJECTS).to_pylist()}
    assert reasons["good1"] == "not_in_box"
    assert "two" not in reasons
    chosen = [
        row["image_id"] for row in read_table(out / "candidates.parquet", CANDIDATES).to_pylist() if row["chosen"]
    ]
    assert chosen == [name for name in (row["image_id"] for row in manifest) if name not in reasons]


def test_the_shards_hold_the_aligned_face_and_what_was_found(project):
    out = run()
    first = next(stream_shards(out / "shards"))
    assert first["__key__"] == "good0"
    found = json.loads(first["json"])
    assert found["identity"] == "id_good"
    assert found["split"] == "train"
    assert (found["score"], found["box"]) == (0.75, [20, 10, 120, 110])
    np.testing.assert_allclose(found["landmarks"], TEMPLATE, atol=1e-4)  # float32 at values around 100
    # The detector's landmarks are the template moved by (3, 2), so the aligned face is that part of the photograph.
    photo = np.asarray(Image.open("photos/good0.png"))
    np.testing.assert_array_equal(decode_image(first["png"]), photo[2:114, 3:115])
    index = read_table(out / "index.parquet", SHARD_INDEX)
    pngs = index.filter([member == "png" for member in index["member"].to_pylist()])
    reader = ShardReader(out / "shards", pngs)
    assert len(reader) == 6
    np.testing.assert_array_equal(decode_image(reader.read(0)), photo[2:114, 3:115])
    np.testing.assert_allclose(index["landmarks"][0].as_py(), TEMPLATE.ravel(), atol=1e-4)


def test_a_rerun_gives_the_same_bytes(project):
    assert tree(run("first")) == tree(run("second"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photograph_that_kills_the_detector_is_rejected_and_changes_nothing_else(project, workers):
    whole = run("whole")
    Path("machine.yaml").write_text(f"{{workers: {workers}, photographs_per_batch: 4}}")
    manifest = read_table(Path("manifest.parquet"), MANIFEST).to_pylist()
    Path("photos/killer.png").write_bytes(png(KILLER, 100, 5))
    manifest.insert(6, manifest[0] | {"image_id": "killer", "uri": "photos/killer.png"})
    write_table(Path("manifest.parquet"), table_from_rows(manifest, MANIFEST), MANIFEST)
    out = run()
    rejects = {row["image_id"]: row for row in read_table(out / "rejects.parquet", REJECTS).to_pylist()}
    killer = rejects.pop("killer")
    assert (killer["reason"], killer["detail"]) == ("crashed", "its process ended with exit code 1")
    assert rejects == {row["image_id"]: row for row in read_table(whole / "rejects.parquet", REJECTS).to_pylist()}
    assert tree(out / "shards") == tree(whole / "shards")
    assert Recorder.metrics["num_rejected_crashed"] == 1


def test_too_many_rejects_fail_with_their_reasons_and_leave_the_table_only(project):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["align"]["max_reject_share"] = 0.1
    Path("params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(DataError, match=r"7 of 13 \(53\.8%\).*several_faces 1") as caught:
        run()
    assert "out/rejects.parquet" in str(caught.value)
    assert sorted(tree(Path("out"))) == ["candidates.parquet", "rejects.parquet"]
    params["align"]["max_reject_share"] = 0.6
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert len(tree(run())) == 5
    assert len(Path("computed").read_text().split()) == 13  # nothing is looked at again
    assert not list(Path("out").glob(".*"))


@pytest.mark.parametrize("kill", ["process", "stage"])
def test_a_kill_in_the_middle_changes_no_byte_and_loses_no_finished_shard(project, monkeypatch, kill):
    whole = tree(run("undisturbed"))
    Path("computed").unlink()
    Path("machine.yaml").write_text("{workers: 0, photographs_per_batch: 2}")
    monkeypatch.setenv("KILL", kill)
    if kill == "stage":
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        command = [sys.executable, "-c", f"import {__name__}; {__name__}.run_recorded()"]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        assert tree(Path("out")) == {}
    assert tree(run()) == whole
    computed = Path("computed").read_text().split()
    assert [computed.count(name) for name in ("good0", "good5", "two", "empty")] == [1, 1 + (kill == "stage"), 2, 1]
    assert not list(Path("out").glob(".*"))


def test_finished_shards_of_other_parameters_or_photographs_are_not_taken(project):
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["align"]["max_reject_share"] = 0.1
    Path("params.yaml").write_text(yaml.safe_dump(params))
    for change in ({}, {"several_faces": "largest"}):
        params["align"] |= change
        Path("params.yaml").write_text(yaml.safe_dump(params))
        with pytest.raises(DataError, match="Too many photographs"):
            run()
    assert Path("computed").read_text().split().count("good0") == 2
    rows = read_table(Path("manifest.parquet"), MANIFEST).to_pylist()
    rows[0]["sha256"] = "1" * 64
    write_table(Path("manifest.parquet"), table_from_rows(rows, MANIFEST), MANIFEST)
    with pytest.raises(DataError, match="Too many photographs"):
        run()
    assert Path("computed").read_text().split().count("good0") == 3


def test_a_full_disk_leaves_nothing_half_written_and_the_rerun_completes(project):
    whole = tree(run("undisturbed"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses to let a file grow beyond 60 kB, in the middle of the first shard, as it would on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(DataError, match="File too large"):
            run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert tree(Path("out")) == {}
    assert tree(run()) == whole
    assert not list(Path("out").glob(".*"))


def test_a_disk_that_is_full_at_the_index_keeps_no_index(project, monkeypatch):
    """/dev/full is the kernel's own full disk: every write to it raises ENOSPC."""

    def write_to_full_disk(parts, path, schema):
        with open("/dev/full", "wb") as handle:
            handle.write(b"x")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline_lib.core.tables.join_tables", write_to_full_disk)
        with pytest.raises(OSError) as caught:
            run()
    assert caught.value.errno == errno.ENOSPC
    assert tree(Path("out")) == {}


def test_runs_of_decoded_pixels_do_not_change_the_outcome(project, monkeypatch):
    whole = tree(run("whole"))
    monkeypatch.setenv("RUN_PIXELS", "1")
    assert tree(run("bit_by_bit")) == whole
