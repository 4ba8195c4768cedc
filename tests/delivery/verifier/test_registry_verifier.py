"""Verifier.compare: inputs, errors a row, additivity, one detection a picture."""

import base64
import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_verifier import THRESHOLD, TINY, write_files

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.pictures_in import read_picture
from pipeline_lib.delivery.verifier.verifier import CALIBRATION, SETTINGS, Settings, Verifier

A, B = example_photographs()
NO_FACE = encode_png(np.full((120, 120, 3), 90, np.uint8))
MAX_PIXELS = 1000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_files(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def verifier(files: dict[str, Path]) -> Verifier:
    return Verifier.load(files)


def test_all_kinds_of_input_mean_the_same(verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(A)
    text = base64.b64encode(A).decode()
    in_lines = base64.encodebytes(A).decode()
    kinds = [A, bytearray(A), memoryview(A), Path("a.png"), "a.png", str(tmp_path / "a.png"), text, in_lines]
    answers = verifier.compare([(kind, B) for kind in [*kinds, f"data:image/png;base64,{text}"]])
    assert {answer.error for answer in answers} == {None}
    assert len({answer.similarity for answer in answers}) == 1


def test_answer_follows_the_calibration(verifier: Verifier) -> None:
    (answer, same) = verifier.compare([(A, B), (A, A)])
    assert answer.similarity is not None
    assert answer.probability == pytest.approx(1 / (1 + np.exp(-(10 * answer.similarity - 3))), abs=1e-12)  # float64
    assert answer.threshold == THRESHOLD
    assert answer.match == (answer.similarity > THRESHOLD)
    assert same.similarity == pytest.approx(1.0, abs=1e-6)  # float32 unit vectors
    assert same.match is True
    assert answer.contributions is None
    assert answer.png is None


def test_contributions_sum_to_the_similarity(verifier: Verifier) -> None:
    (answer,) = verifier.compare([(A, B)], explain=True)
    assert answer.contributions is not None
    assert answer.png is not None
    boxes = [(part.x, part.y, part.w, part.h) for part in answer.contributions]
    assert boxes == [tuple(box) for box in verifier.network.grid.tolist()]
    for side in ("contribution_a", "contribution_b"):
        total = sum(getattr(part, side) for part in answer.contributions)
        assert total == pytest.approx(answer.similarity, abs=1e-6)  # float32 features, float64 sums
    assert answer.png.startswith(b"\x89PNG")


def test_bad_pictures_spoil_their_own_rows_only(verifier: Verifier) -> None:
    truncated = A[: len(A) // 2]
    rows: list[tuple[Any, Any]] = [
        (A, B),
        (NO_FACE, B),
        (A, b""),
        (truncated, NO_FACE),
        (A, None),
        (float("nan"), B),
        (B, A),
    ]
    answers = verifier.compare(rows, explain=True)
    for good in (answers[0], answers[-1]):
        assert good.error is None
        assert good.png is not None
    for bad, sides in zip(answers[1:-1], (["a"], ["b"], ["a", "b"], ["b"], ["a"]), strict=True):
        assert bad.error is not None
        assert [side for side in ("a", "b") if f"image_{side}:" in bad.error] == sides
        assert (bad.similarity, bad.match, bad.probability, bad.contributions, bad.png) == (None,) * 5
        assert bad.threshold == THRESHOLD
    assert "no face" in str(answers[1].error)
    assert "empty" in str(answers[2].error)
    assert "truncated" in str(answers[3].error)
    assert "NoneType" in str(answers[4].error)


def test_only_bad_rows_and_no_rows(verifier: Verifier) -> None:
    assert verifier.compare([]) == []
    (answer,) = verifier.compare([(NO_FACE, NO_FACE)])
    assert answer.error is not None


def test_each_picture_is_detected_once(files: dict[str, Path]) -> None:
    verifier = Verifier.load(files)
    detector, calls = verifier.detector, []

    class Counting:
        def detect(self, images: Any) -> Any:
            calls.append(len(images))
            return detector.detect(images)

    verifier.detector = Counting()
    verifier.compare([(A, B), (B, A), (A, A), (NO_FACE, A), (NO_FACE, B)])
    assert sum(calls) == 3


def test_too_many_pixels_are_refused(verifier: Verifier) -> None:
    large = encode_png(np.zeros((2001, 2000, 3), np.uint8))
    (answer,) = verifier.compare([(large, B)])
    assert "too large" in str(answer.error)


def test_calibration_without_the_score(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(DataError, match="lacks the verifier's score"):
        Verifier.load({**files, CALIBRATION: tmp_path / "calibration.json"})


def test_settings_with_an_unknown_key(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"colour": 1}')
    with pytest.raises(DataError, match="colour"):
        Verifier.load({**files, SETTINGS: tmp_path / "settings.json"})
    assert Settings.read(files[SETTINGS]) == TINY


def test_explaining_needs_an_rrfnet(verifier: Verifier) -> None:
    spec = dataclasses.replace(verifier.network.spec, arch="iresnet", patch_px=None, layout=None)

    class Other(Verifier):
        pass

    from pipeline_lib.networks.backbones.shared.build import build_network

    other = Other(build_network(spec).eval(), verifier.detector, verifier.calibration, TINY)
    with pytest.raises(DataError, match="rrfnet"):
        other.compare([(A, B)], explain=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no such file.jpg", "not_an_image"),
        ("", "not_an_image"),
        ("x" * 5001, "not_an_image"),  # longer than any path; no base64 has a length of 4 n + 1
        ("zero\0byte", "not_an_image"),
        ("data:image/png,plain", "not_an_image"),
        ("data:image/png;base64,!!", "not_an_image"),
        (Path("gone.jpg"), "unreadable"),
        (Path("/dev/zero"), "unreadable"),
        (b"x" * (8 * MAX_PIXELS + 1), "too_large"),
        (base64.b64encode(b"x" * 16 * MAX_PIXELS).decode(), "too_large"),
        (3, "not_an_image"),
    ],
)
def test_unreadable_input(value: object, reason: str) -> None:
    with pytest.raises(PhotoError) as caught:
        read_picture(value, MAX_PIXELS)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 400  # a megabyte of base64 must not be echoed


def test_pipe_and_oversized_file_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for value in (tmp_path / "pipe", str(tmp_path / "pipe")):
        with pytest.raises(PhotoError):
            read_picture(value, MAX_PIXELS)
    with (tmp_path / "big").open("wb") as handle:
        handle.truncate(10**12)  # sparse: reading it would fill the memory
    with pytest.raises(PhotoError) as caught:
        read_picture(tmp_path / "big", MAX_PIXELS)
    assert caught.value.reason == "too_large"
