"""Processes that are killed in the middle cost time only, photographs that kill them are rejects; one thread each."""

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.core.parallel import map_batches
from pipeline_lib.data.faces.align_batch import Row, align_batch, crashed_row
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.params.align import Align


def die_once(rows: Sequence[Row], root: Path, marker: Path) -> list[dict[str, object]]:
    """align_batch, in a process that is killed as if by the system when it comes to the third photograph first."""
    if any(row["image_id"] == "photo2" for row in rows) and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return align_small(rows, root)


def die_of_some(rows: Sequence[Row], root: Path) -> list[dict[str, object]]:
    """align_batch, where two of the photographs kill the decoder."""
    if any(row["image_id"] in ("photo1", "photo6") for row in rows):
        os._exit(9)
    return align_small(rows, root)


def count_threads(_: int) -> tuple[int, int]:
    """Threads of torch and OpenCV in a worker once it has its detector."""
    import cv2
    import torch

    from pipeline_lib.data.faces import align_batch as module

    module.make_detector = lambda *arguments, **options: None
    module._process_detector("retinaface_mobilenet", None, 0.9, 40, False)
    return torch.get_num_threads(), cv2.getNumThreads()


@pytest.fixture
def rows(tmp_path) -> list[Row]:
    for n in range(8):
        image = np.random.default_rng(n).integers(0, 256, (40 + n, 50, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"photo{n}.png")
    return [{"image_id": f"photo{n}", "identity": "a", "split": "train", "uri": f"photo{n}.png"} for n in range(8)]


def align_section(detector: str, weights: str = "data/none", min_score: float = 0.9) -> Align:
    return Align(
        detector=detector,
        weights=weights,
        min_score=min_score,
        min_face_px=40,
        several_faces="reject",
        max_reject_share=0.1,
    )


def align_small(rows: Sequence[Row], root: Path) -> list[dict[str, object]]:
    """align_batch with dlib, of photographs up to 10 000 px."""
    return align_batch(rows, align_section("dlib", min_score=0.0), None, root, 10_000)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_killed_process_loses_nothing(tmp_path, rows, num_workers):
    function = partial(die_once, root=tmp_path, marker=tmp_path / "killed")
    batches = [rows[start : start + 2] for start in range(0, 8, 2)]
    found = [row for batch in map_batches(function, batches, num_workers, crashed=crashed_row) for row in batch]
    assert (tmp_path / "killed").exists()
    assert found == [row for batch in batches for row in align_small(batch, tmp_path)]
    assert [row["image_id"] for row in found] == [f"photo{n}" for n in range(8)]


@pytest.mark.parametrize(("num_workers", "size"), [(0, 8), (2, 3)])
def test_a_photograph_that_kills_the_decoder_is_one_reject(tmp_path, rows, num_workers, size):
    batches = [rows[start : start + size] for start in range(0, 8, size)]
    function = partial(die_of_some, root=tmp_path)
    found = [row for batch in map_batches(function, batches, num_workers, crashed=crashed_row) for row in batch]
    expected = align_small(rows, tmp_path)
    for n in (1, 6):
        how = {"reason": "crashed", "detail": "its process ended with exit code 9"}
        expected[n] = {"image_id": f"photo{n}", "uri": f"photo{n}.png", "stage": "align", **how}
    assert found == expected


def test_a_worker_uses_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # what a machine's owner may have set
    assert list(map_batches(count_threads, [0], num_workers=1)) == [(1, 1)]


def test_weights_become_absolute_and_are_fetched_before_the_workers_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert detector_weights(align_section("dlib")) is None
    assert detector_weights(align_section("mmod")) is None
    assert detector_weights(align_section("retinaface_mobilenet")) is None
    assert detector_weights(align_section("retinaface_mobilenet", "w.pth")) == tmp_path / "w.pth"
    monkeypatch.setattr("pipeline_lib.data.faces.detection.weights.resnet50_weights", lambda: tmp_path / "fetched.zip")
    for kind in ("retinaface_resnet50", "retinaface_pytorch"):
        assert detector_weights(align_section(kind)) == tmp_path / "fetched.zip"


def test_workers_share_the_gpus_and_dlib_needs_none(monkeypatch):
    """As on a machine with four GPUs: each process takes the one its number falls to."""
    import torch

    from pipeline_lib.data.faces import align_batch as module

    built = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(module, "make_detector", lambda *arguments, **options: built.append((*arguments, options)))
    module._process_detector.cache_clear()
    module._process_detector("retinaface_mobilenet", Path("w.pth"), 0.9, 40, False)
    module._process_detector("dlib", None, 0.0, 30, True)
    module._process_detector("mmod", None, 0.0, 30, True)
    module._process_detector.cache_clear()
    assert built == [
        ("retinaface_mobilenet", Path("w.pth"), 0.9, 40, f"cuda:{os.getpid() % 4}", {"largest_only": False}),
        ("dlib", None, 0.0, 30, {"largest_only": True}),
        ("mmod", None, 0.0, 30, f"cuda:{os.getpid() % 4}", {"largest_only": True}),
    ]
