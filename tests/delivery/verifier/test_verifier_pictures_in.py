"""What a row of the verifier's input may hold, and what is refused unread."""

import base64
import os
from pathlib import Path

import pytest

from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.delivery.verifier.pictures_in import read_picture

MAX_PIXELS = 1000


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
