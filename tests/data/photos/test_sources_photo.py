"""Photograph decoding: colours and orientation by hand-made files, and every kind of bad file with its reason."""

import errno
import io
import os
import pickle
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline_lib.data.photos.photo import REASONS, PhotoError, Probe, decode_photo
from pipeline_lib.data.photos.place import MAX_BYTES_A_PIXEL, Place, look_at, read_photo

MAX_PIXELS = 10_000
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# Two rows, three columns, every pixel another colour: each of the eight orientations gives another picture.
SMALL = np.array([[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (255, 255, 0)]], dtype=np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def encode(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def reason(data: bytes, max_pixels: int = MAX_PIXELS) -> str:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data, max_pixels)
    assert caught.value.reason in REASONS
    assert caught.value.detail
    return caught.value.reason


def outcome(data: bytes) -> str:
    try:
        pixels = decode_photo(data, MAX_PIXELS)
    except PhotoError as error:
        return error.reason
    return "pixels" if pixels.ndim == 3 and pixels.dtype == np.uint8 else "something else"


def probe_reason(path: Path, data: bytes | None = None) -> str:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(PhotoError) as caught:
        look_at(Place(path), MAX_PIXELS)
    return caught.value.reason


def png_header_only(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", 1000) + b"IDAT"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_give_the_pixels(kind: str, options: dict[str, object]) -> None:
    decoded = decode_photo(encode(NOISE, kind, **options), MAX_PIXELS)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, NOISE)


def test_jpeg_gives_nearly_the_pixels() -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    decoded = decode_photo(encode(flat, "JPEG", quality=95), MAX_PIXELS)
    assert (
        np.abs(decoded.astype(int) - flat).max() <= 2
    )  # rounding of the YCbCr conversion; a flat block has no other loss


# What a viewer that obeys the tag shows (EXIF 2.32, tag 274: where row 0 and column 0 belong), worked by hand on letters.
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, ["abc", "def"]),
        (2, ["cba", "fed"]),
        (3, ["fed", "cba"]),
        (4, ["def", "abc"]),
        (5, ["ad", "be", "cf"]),
        (6, ["da", "eb", "fc"]),
        (7, ["fc", "eb", "da"]),
        (8, ["cf", "be", "ad"]),
        (0, ["abc", "def"]),
        (9, ["abc", "def"]),
    ],
)
def test_exif_orientation(tmp_path: Path, orientation: int, upright: list[str]) -> None:
    letters = {letter: SMALL.reshape(-1, 3)[i] for i, letter in enumerate("abcdef")}
    data = encode(SMALL, "PNG", exif=exif(orientation))
    expected = np.array([[letters[letter] for letter in row] for row in upright])
    np.testing.assert_array_equal(decode_photo(data, MAX_PIXELS), expected)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert look_at(Place(path), MAX_PIXELS)[0] == Probe(len(upright[0]), len(upright))


def test_exif_of_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(NOISE, "JPEG", exif=exif(6)))
    assert look_at(Place(path), MAX_PIXELS)[0] == Probe(40, 50)  # 50 wide, 40 high on the sensor
    assert decode_photo(path.read_bytes(), MAX_PIXELS).shape == (50, 40, 3)


def test_exif_after_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    data = encode(SMALL, "PNG", exif=exif(6))
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + struct.unpack(">I", data[start : start + 4])[0]]
    without = data.replace(chunk, b"")
    end = without.index(b"IEND") - 4
    moved = without[:end] + chunk + without[end:]
    path = tmp_path / "a.png"
    path.write_bytes(moved)
    assert look_at(Place(path), MAX_PIXELS)[0] == Probe(2, 3)
    assert decode_photo(moved, MAX_PIXELS).shape == (3, 2, 3)


def test_broken_exif_does_not_cost_the_photograph() -> None:
    data = encode(SMALL, "PNG", exif=b"Exif\x00\x00nonsense")
    np.testing.assert_array_equal(decode_photo(data, MAX_PIXELS), SMALL)


def test_cmyk_jpeg_is_taken_as_inverted_with_and_without_the_mark_of_adobe() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # cyan off, magenta and yellow full: red
    data = encode(cmyk, "JPEG", quality=95)
    marker = data.index(b"\xff\xee\x00\x0eAdobe")
    for jpeg in (data, data[:marker] + data[marker + 16 :]):
        decoded = decode_photo(jpeg, MAX_PIXELS)
        assert np.abs(decoded.astype(int) - RED).max() <= 3  # JPEG rounding, four channels without a colour transform
    tiff = decode_photo(encode(cmyk, "TIFF"), MAX_PIXELS)
    np.testing.assert_array_equal(tiff, np.full((16, 16, 3), RED))


def test_16_bit_grey_and_colour_keep_the_high_byte() -> None:
    grey16 = np.array([[0, 255, 256, 0x7FFF], [0x8000, 0xFEFF, 0xFF00, 0xFFFF]], dtype=np.uint16)
    expected = np.array([[0, 0, 1, 127], [128, 254, 255, 255]], dtype=np.uint8)
    for kind in (".png", ".tiff", ".pgm"):
        decoded = decode_photo(cv2.imencode(kind, grey16)[1].tobytes(), MAX_PIXELS)
        np.testing.assert_array_equal(decoded, np.repeat(expected[:, :, None], 3, axis=2), err_msg=kind)
    colour16 = np.stack([grey16, grey16[::-1], grey16[:, ::-1]], axis=2)
    decoded = decode_photo(cv2.imencode(".png", colour16[:, :, ::-1])[1].tobytes(), MAX_PIXELS)  # OpenCV writes BGR
    np.testing.assert_array_equal(decoded, np.stack([expected, expected[::-1], expected[:, ::-1]], axis=2))


def test_alpha_is_composited_on_mid_grey() -> None:
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    # 0.2 of the colour and 0.8 of 128: 142.4, 122.4, 102.4
    expected = np.array([[[200, 100, 0], [128, 128, 128], [142, 122, 102]]])
    for kind in ("PNG", "TIFF"):
        np.testing.assert_array_equal(decode_photo(encode(rgba, kind), MAX_PIXELS), expected, err_msg=kind)
    grey_alpha = Image.fromarray(np.array([[[10, 255], [10, 0]]], dtype=np.uint8), "LA")
    decoded = decode_photo(encode(grey_alpha, "PNG"), MAX_PIXELS)
    np.testing.assert_array_equal(decoded, [[[10, 10, 10], [128, 128, 128]]])


def test_palette_grey_and_one_bit() -> None:
    palette = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    palette.putpalette([*RED, *GREEN, *BLUE])
    np.testing.assert_array_equal(decode_photo(encode(palette, "PNG"), MAX_PIXELS), [[RED, GREEN, BLUE]])
    np.testing.assert_array_equal(
        decode_photo(encode(palette, "PNG", transparency=1), MAX_PIXELS), [[RED, (128,) * 3, BLUE]]
    )
    grey = np.array([[0, 7, 255]], dtype=np.uint8)
    np.testing.assert_array_equal(decode_photo(encode(grey, "PPM"), MAX_PIXELS), [[(0,) * 3, (7,) * 3, (255,) * 3]])
    bits = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(decode_photo(encode(bits, "PNG"), MAX_PIXELS), [[WHITE, (0, 0, 0)]])


def test_first_frame_of_several() -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (10, 200)]
    for kind, options in (("TIFF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode_photo(data, MAX_PIXELS), np.full((4, 4, 3), 10), err_msg=kind)


def test_empty_file(tmp_path: Path) -> None:
    assert reason(b"") == "empty"
    assert probe_reason(tmp_path / "a.jpg", b"") == "empty"


@pytest.mark.parametrize(
    "data",
    [
        b"not a photograph",
        b"GIF89a" + bytes(40),
        b"BM is a text",
        b"P5 is a text",
        b"%PDF-1.7",
        b"\xff",
        b"RIFF1234WAVE" + bytes(9),
    ],
)
def test_what_is_no_image(tmp_path: Path, data: bytes) -> None:
    assert reason(data) == "not_an_image"
    assert probe_reason(tmp_path / "a.jpg", data) == "not_an_image"


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {})]
    + [("TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate")],
)
def test_truncated_in_the_pixels(kind: str, options: dict[str, object]) -> None:
    data = encode(NOISE, kind, **options)
    assert decode_photo(data, MAX_PIXELS).shape == NOISE.shape
    assert reason(data[: len(data) // 2]) == "truncated"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_in_the_header(tmp_path: Path, kind: str) -> None:
    data = encode(NOISE, kind)[:20]
    assert reason(data) == "truncated"
    assert probe_reason(tmp_path / "a", data) == "truncated"


def test_gigapixel_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_decoding(*_: object) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_decoding)
    huge = {
        "png": png_header_only(100_000, 100_000),
        "ppm": b"P6\n100000 100000\n255\n",
        "bmp": encode(SMALL, "BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + encode(SMALL, "BMP")[26:],
    }
    for name, data in huge.items():
        assert reason(data, 50_000_000) == "too_large", name
        assert probe_reason(tmp_path / name, data) == "too_large", name


def test_max_pixels_is_the_only_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(NOISE, "PNG")
    assert reason(data, NOISE.shape[0] * NOISE.shape[1] - 1) == "too_large"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own guard would refuse everything
    np.testing.assert_array_equal(decode_photo(data, NOISE.shape[0] * NOISE.shape[1]), NOISE)
    assert Image.MAX_IMAGE_PIXELS == 10  # and we do not lift it for the rest of the process


SECRET = b"root:x:0:0:/root:/bin/bash"
HEADERS = (
    b"",
    b"P2 4 4 255\n",
    b"P6 ",
    b"P6 4 ",
    b"BM",
    b"II*\0",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF1234WEBP",
)


@pytest.mark.parametrize("header", [*HEADERS, png_header_only(4, 4)])
def test_messages_repeat_nothing_of_the_file(tmp_path: Path, header: bytes) -> None:
    """Pillow's do, and a client of a served model would read them."""
    path = tmp_path / "secret"
    path.write_bytes(header + SECRET)
    messages = []
    for read in (lambda: decode_photo(path.read_bytes(), MAX_PIXELS), lambda: look_at(Place(path), MAX_PIXELS)):
        try:
            read()
        except PhotoError as error:
            messages.append(str(error))
    assert messages  # some headers alone are as they should be
    for start in range(len(SECRET) - 3):
        assert SECRET[start : start + 4].decode() not in " ".join(messages)


def test_samples_without_a_range_are_refused() -> None:
    assert reason(encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")) == "unreadable"
    assert reason(encode(Image.fromarray(np.ones((2, 2), np.int32)), "TIFF")) == "unreadable"


def test_damaged_pixels_are_unreadable() -> None:
    data = bytearray(encode(NOISE, "PNG"))
    middle = len(data) // 2
    data[middle : middle + 20] = bytes(20)
    assert reason(bytes(data)) == "unreadable"


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    assert probe_reason(tmp_path / "missing.jpg") == "unreadable"
    (tmp_path / "folder.jpg").mkdir()
    assert probe_reason(tmp_path / "folder.jpg") == "unreadable"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert probe_reason(tmp_path / "pipe.jpg") == "unreadable"  # and does not hang
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert probe_reason(tmp_path / "link.jpg") == "unreadable"


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Nobody's rights for the test: root may read everything, whatever a file's mode."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_permission_denied(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(SMALL, "PNG"))
    path.chmod(0)
    request.getfixturevalue("ordinary_user")
    with pytest.raises(PhotoError, match=os.strerror(errno.EACCES)) as caught:
        look_at(Place(path), MAX_PIXELS)
    assert caught.value.reason == "unreadable"


def test_error_survives_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(PhotoError("truncated", "half of it")))
    assert (error.reason, error.detail) == ("truncated", "half of it")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, on damaged EXIF
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_damage_gives_pixels_or_a_photo_error_and_nothing_else(kind: str) -> None:
    rng = np.random.default_rng(1)
    whole = encode(NOISE, kind, **({"exif": exif(6)} if kind in ("JPEG", "PNG") else {}))
    outcomes = Counter()
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 120, 3):
            data[place] = rng.integers(256)
        outcomes[outcome(bytes(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data))] += 1
    assert set(outcomes) <= {"pixels", *REASONS}
    assert outcomes["truncated"] > 0


def test_a_file_longer_than_its_pixels_can_be_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "long.jpg"
    path.write_bytes(encode(np.zeros((4, 4, 3), np.uint8), "JPEG"))
    os.truncate(path, MAX_BYTES_A_PIXEL * MAX_PIXELS + 1)  # sparse: it takes no disk
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was opened"))
    for look in (read_photo, look_at):
        with pytest.raises(PhotoError, match=r"too_large.*bytes are more than") as caught:
            look(Place(path), MAX_PIXELS)
        assert caught.value.reason == "too_large"


def test_read_photo_gives_the_bytes_and_refuses_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_photo(Place(tmp_path / "a"), 1) == b"abc"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    for name, reason in (
        ("pipe", "unreadable"),
        ("circle", "unreadable"),
        ("gone", "unreadable"),
        ("caf\udce9", "bad_name"),
    ):
        with pytest.raises(PhotoError) as caught:
            read_photo(Place(tmp_path / name), 1)
        assert caught.value.reason == reason
