"""Faces that need no detector: aligned already, or with landmarks of their own."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces import align_batch as batch_module
from pipeline_lib.data.faces.align_batch import AlignedFace, align_batch
from pipeline_lib.data.faces.alignment import align_face
from pipeline_lib.params.align import Align

SECTION = Align(
    detector="dlib",
    weights="data/none",
    min_score=0.0,
    min_face_px=40,
    several_faces="reject",
    max_reject_share=1.0,
)


class Nobody:
    """Sees no face, and counts what it is shown."""

    num_seen = 0

    def detect(self, images: list[np.ndarray]) -> list[list[object]]:
        self.num_seen += len(images)
        return [[] for _ in images]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Nobody:
    nobody = Nobody()
    monkeypatch.setattr(batch_module, "_process_detector", lambda *_: nobody)
    return nobody


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_each_is_taken_as_its_row_says(detector: Nobody, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    square, narrow, large = (
        rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((112, 112), (112, 96), (200, 150))
    )
    contents = [png(square), png(narrow), png(large), png(large), png(large), png(large), b"no picture"]
    (tmp_path / "all").write_bytes(b"".join(contents))
    offsets = np.cumsum([0, *map(len, contents)]).tolist()
    points = TEMPLATE * 1.25 + 7
    given = [
        {"faces": "aligned"},
        {"faces": "aligned"},
        {"faces": "aligned"},
        {"faces": "landmarks", "landmarks": points.reshape(-1).tolist()},
        {"faces": "landmarks", "landmarks": None},
        {"faces": "detect", "landmarks": points.reshape(-1).tolist()},
        {"faces": "aligned"},
    ]
    who = {"identity": "a", "split": "test", "uri": "all"}
    rows = [
        {"image_id": str(i), **who, **row, "offset": offsets[i], "length": len(contents[i])}
        for i, row in enumerate(given)
    ]
    out = align_batch(rows, SECTION, None, tmp_path, 10**6)
    assert detector.num_seen == 1
    assert [each if isinstance(each, AlignedFace) else each["reason"] for each in out][2:] == [
        "not_aligned",
        out[3],
        "bad_landmarks",
        "no_face",
        "not_an_image",
    ]
    first, second, third = (out[i] for i in (0, 1, 3))
    assert isinstance(first, AlignedFace)
    assert isinstance(second, AlignedFace)
    assert isinstance(third, AlignedFace)
    np.testing.assert_array_equal(first.image, square)
    np.testing.assert_array_equal(first.landmarks, TEMPLATE)
    np.testing.assert_array_equal(second.image[:, 8:104], narrow)
    assert not second.image[:, :8].any()
    assert not second.image[:, 104:].any()
    np.testing.assert_array_equal(third.image, align_face(large, points)[0])
    np.testing.assert_allclose(third.landmarks, TEMPLATE, atol=1e-4)
    assert third.face.score == first.face.score == 1.0
