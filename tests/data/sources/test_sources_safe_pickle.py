"""Pickles of strangers: faces are read as Python's own unpickler reads them; what runs code or eats memory is refused."""

import contextlib
import io
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.safe_pickle import load

PICTURES = [b"\xff\xd8\xff one", b"", b"\x00" * 300, b"one \xff" * 100]
ARRAYS = [np.frombuffer(picture, np.uint8) for picture in PICTURES]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("pictures", [PICTURES, ARRAYS, [np.arange(24, dtype=np.uint8).reshape(2, 4, 3)] * 3])
@pytest.mark.parametrize("answers", [[True, False], np.array([True, False]), [np.bool_(True), np.bool_(False)], [1, 0]])
def test_reads_what_pythons_own_reads(protocol: int, pictures: list[object], answers: object) -> None:
    found = load(pickle.dumps((pictures, answers), protocol))
    assert type(found) is tuple
    for ours, theirs in zip(found[0], pictures, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert type(ours) is type(theirs)
    np.testing.assert_array_equal(found[1], answers)


def test_reads_python_2() -> None:
    """As `pickle.dump(([b'\\xff\\xd8', ...], [True]), f, protocol=2)` of Python 2 writes it: strings, and a memo."""
    jpeg = b"\xff\xd8 \xe9"
    string = b"U" + bytes([len(jpeg)]) + jpeg + b"q\x01"
    long_string = b"T" + struct.pack("<i", len(jpeg)) + jpeg
    data = b"\x80\x02]q\x00(" + string + long_string + b"h\x01e]q\x02(\x88\x89e\x86q\x03."
    assert pickle.loads(data, encoding="bytes") == ([jpeg] * 3, [True, False])
    assert load(data) == ([jpeg] * 3, [True, False])


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/face-verifier-was-here",)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ([Evil()], "posix.system"),
        ({"a": 1}, "EMPTY_DICT"),
        ([os.path.join], "posixpath.join"),
        ({1}, "EMPTY_SET"),
        (np.array([Evil()], dtype=object), "O8"),
        (np.array(["a"]), "U1"),
        (bytearray(b"abc"), "builtins.bytearray"),
    ],
)
def test_names_what_it_refuses(value: object, named: str) -> None:
    with pytest.raises(DataError, match=named):
        load(pickle.dumps(value, 4))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04K\x01e.",
        b"\x80\x04]e.",
        b"\x80\x04h\x07.",
        b"\x80\x04B\xff\xff\xff\xffabc.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.",
        b"cnumpy\nndarray\n.",
        b"\x80\x02]q\x00h\x00a.",  # a list in itself
        b"cnumpy.core.multiarray\n_reconstruct\n(tR.",
        b"c__builtin__\nbytes\n(I1000000000\ntR.",
        b"I" + b"9" * 5000 + b"\n.",
        b"c_codecs\nencode\n(Va\nVutf-8\ntR.",
        b"c_codecs\nencode\n(Va\nVno such encoding\ntR.",
    ],
)
def test_refuses_damage(data: bytes) -> None:
    with pytest.raises(DataError):
        load(data)


def test_takes_no_more_memory_than_the_pickle_has() -> None:
    """Of an array of a stated size, of a memo with a far place, of lists that double 60 times."""
    doubling = (
        b"\x80\x02]q\x00"
        + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60))
        + b"."
    )
    far = b"\x80\x02K\x01r" + struct.pack("<I", 0xFFFFFFFF) + b"."
    array = pickle.dumps(np.zeros(4, np.uint8), 2).replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85")
    assert load(pickle.dumps(np.zeros(4, np.uint8), 2)).tolist() == [0] * 4
    tracemalloc.start()
    try:
        load(doubling)
        assert load(far) == 1
        with pytest.raises(DataError):
            load(array)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200), st.data())
def test_any_bytes_are_a_value_or_an_error_of_ours(noise: bytes, draw: st.DataObject) -> None:
    whole = pickle.dumps((PICTURES, [True, False]), draw.draw(st.integers(0, 5)))
    at = draw.draw(st.integers(0, len(whole)))
    buffer = io.BytesIO(whole)
    for data in (noise, whole[:at], whole[:at] + noise + whole[at + len(noise) :]):
        with contextlib.suppress(DataError):
            load(data)
    assert load(buffer.getvalue()) == (PICTURES, [True, False])
