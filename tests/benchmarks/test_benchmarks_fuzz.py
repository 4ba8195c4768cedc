"""Hostile collections, some of those that `python -m benchmarks.fuzz` tries for minutes, and the worst by hand."""

import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import MAX_PIXELS, damaged, picture, try_one
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.photo import PhotoError, probe_bytes, probe_photo
from pipeline_lib.data.photos.recordio import FIRST, LENGTH_BITS, MAGIC, MAX_PARTS, PART, pack, parts
from pipeline_lib.data.sources import recordio, webdataset
from pipeline_lib.data.sources.shared.safe_pickle import load


@given(st.integers(0, 2**32))
@settings(max_examples=40)
@pytest.mark.filterwarnings("ignore")
def test_a_hostile_collection_ends_in_an_error_of_ours_or_in_rejects(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert try_one(seed, Path(folder)).endswith(("refused", "rejects", "whole"))


@given(st.integers(0, 2**32))
@settings(max_examples=100)
@pytest.mark.filterwarnings("ignore")
def test_the_short_way_to_a_jpeg_s_size_is_pillow_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = picture(rng)
    data = damaged(data, rng) if seed % 4 else data

    def found(short: bool) -> object:
        try:
            return probe_bytes(data, MAX_PIXELS) if short else probe_photo(io.BytesIO(data), MAX_PIXELS)
        except PhotoError as error:
            return error.reason

    assert found(short=True) == found(short=False)


def test_what_was_found(tmp_path: Path) -> None:
    """A WebP whose header states 264 million pixels: Pillow's own error, which nobody caught."""
    assert try_one(105696, tmp_path) == "folder: rejects"


def test_a_few_bytes_do_not_announce_images_without_end(tmp_path: Path) -> None:
    people = 1000
    records = [pack((2.0, 2.0 + people), 0, b""), pack((0.0,), 1, b"x"), *[pack((1.0, 2.0), 2, b"")] * people]
    offsets = np.cumsum([0, *map(len, records)]).tolist()
    (tmp_path / "a.rec").write_bytes(b"".join(records))
    (tmp_path / "a.idx").write_text("".join(f"{key}\t{offsets[key]}\n" for key in range(len(records))))
    assert len(recordio.read(tmp_path / "a.rec").photos) == people  # as many as there are records: still bounded
    records[2:] = [pack((1.0, 2.0 + people), 2, b"")] * people
    offsets = np.cumsum([0, *map(len, records)]).tolist()
    (tmp_path / "a.rec").write_bytes(b"".join(records))
    (tmp_path / "a.idx").write_text("".join(f"{key}\t{offsets[key]}\n" for key in range(len(records))))
    with pytest.raises(DataError, match="that others have announced"):
        recordio.read(tmp_path / "a.rec")


@pytest.mark.parametrize("label", [float("nan"), float("inf"), -1.0, 1e30])
def test_keys_that_are_none(tmp_path: Path, label: float) -> None:
    (tmp_path / "a.rec").write_bytes(pack((0.0, label), 0, b""))
    (tmp_path / "a.idx").write_text("0\t0\n")
    with pytest.raises(DataError, match="no keys"):
        recordio.read(tmp_path)


def test_a_record_of_parts_without_end() -> None:
    part = PART.pack(MAGIC, FIRST << LENGTH_BITS) + PART.pack(MAGIC, 2 << LENGTH_BITS) * MAX_PARTS
    with pytest.raises(DataError, match="more than 1024 parts"):
        list(parts(part))


def test_a_tar_whose_head_is_long_or_leads_back(tmp_path: Path) -> None:
    long = tarfile.TarInfo("pax")
    long.type, long.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(long.tobuf(tarfile.USTAR_FORMAT if long.size < 8**11 else tarfile.GNU_FORMAT))
    with pytest.raises(DataError, match="damaged"):
        webdataset.read(tmp_path)
    folder = tarfile.TarInfo("folder")
    head = bytearray(folder.tobuf(tarfile.GNU_FORMAT))
    head[124:136] = b"\xff" * 10 + b"\xfa\x00"  # -1536 bytes: three blocks back
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head[:512]):06o}\0 ".encode()
    (tmp_path / "a.tar").write_bytes(bytes(head[:512]) * 4)
    with pytest.raises(DataError, match=r"damaged|no samples"):
        webdataset.read(tmp_path)


def test_a_pickle_that_makes_more_than_it_holds() -> None:
    """One text, encoded a thousand times: a megabyte would become a gigabyte."""
    text = b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20)
    encoded = b"c_codecs\nencode\nh\x01X\x06\0\0\0latin1\x86R"
    data = b"\x80\x02](" + text + b"q\x01" + encoded * 1000 + b"e."
    with pytest.raises(DataError, match="more than it holds"):
        load(data)
    assert len(load(data.replace(encoded * 1000, encoded))[1]) == 1 << 20
