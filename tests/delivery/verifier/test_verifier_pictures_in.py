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
        ("/etc/passwd", "not_an_image"),
        ("file:///etc/passwd", "not_an_image"),
        ("", "not_an_image"),
        ("x" * 5001, "not_an_image"),  # no base64 has a length of 4 n + 1
        ("zero\0byte", "not_an_image"),
        ("data:image/png,plain", "not_an_image"),
        ("data:image/png;base64,!!", "not_an_image"),
        (Path("gone.jpg"), "unreadable"),
        (Path("/dev/zero"), "unreadable"),
        (Path("zero\0byte"), "unreadable"),
        (Path("n" * 5000), "unreadable"),
        ("data:image/png;base64," + "A" * 24 * MAX_PIXELS, "too_large"),
        (b"x" * (8 * MAX_PIXELS + 1), "too_large"),
        (base64.b64encode(b"x" * 16 * MAX_PIXELS).decode(), "too_large"),
        (3, "not_an_image"),
    ],
)
def test_unreadable_input(value: object, reason: str) -> None:
    with pytest.raises(PhotoError) as caught:
        read_picture(value, MAX_PIXELS)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 400
    if isinstance(value, str) and value:
        assert value[:20] not in str(caught.value)


def test_a_text_is_no_path_and_tells_nothing_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request's cells are texts: they must not open the server's files, whatever these are called."""
    monkeypatch.chdir(tmp_path)
    secret = b"root:x:0:0:/root:/bin/bash"
    for name in ("secret", "AAAA"):  # the second is base64, too: of three zero bytes
        Path(name).write_bytes(secret)
    for text in ("secret!", str(tmp_path / "secret"), f"file://{tmp_path}/secret"):
        with pytest.raises(PhotoError) as caught:
            read_picture(text, MAX_PIXELS)
        assert (caught.value.reason, "root" in str(caught.value)) == ("not_an_image", False)
    assert read_picture("AAAA", MAX_PIXELS) == bytes(3)
    assert read_picture(Path("secret"), MAX_PIXELS) == secret


def test_base64_of_either_alphabet() -> None:
    data = bytes([0xFB, 0xEF, 0xBE, 0xFF])
    for text in ("++++/w==", "----_w==", "----_w"):
        assert read_picture(text, MAX_PIXELS) == data
    for text in ("++--/w==", "++++/w"):  # of both, and of the usual one without its padding
        with pytest.raises(PhotoError):
            read_picture(text, MAX_PIXELS)


def test_pipe_and_oversized_file_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PhotoError):
        read_picture(tmp_path / "pipe", MAX_PIXELS)
    with (tmp_path / "big").open("wb") as handle:
        handle.truncate(10**12)  # sparse: reading it would fill the memory
    with pytest.raises(PhotoError) as caught:
        read_picture(tmp_path / "big", MAX_PIXELS)
    assert caught.value.reason == "too_large"
