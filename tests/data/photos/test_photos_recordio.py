"""RecordIO's records: by hand, there and back, and every kind of damage."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.recordio import HEADER, MAGIC, pack, parts, payload, record

WORD = 0xCED7230A


def by_hand(*pieces: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("<II", WORD, flag << 29 | len(piece)) + piece + b"\0" * (-len(piece) % 4) for flag, piece in pieces
    )


def test_a_record_by_hand() -> None:
    head = struct.pack("<IfQQ", 0, 7.0, 3, 0)
    data = b"before.." + by_hand((0, head + b"jpeg!"))
    assert payload(data, 8) == head + b"jpeg!"
    found = record(payload(data, 8))
    assert (found.labels, found.start, found.length) == ((7.0,), 24, 5)
    assert pack((7.0,), 3, b"jpeg!") == data[8:]


def test_several_labels_by_hand() -> None:
    content = struct.pack("<IfQQ2f", 2, 0.0, 9, 0, 11.0, 14.0) + b"x"
    found = record(content)
    assert (found.labels, found.start, found.length) == ((11.0, 14.0), 32, 1)
    assert pack((11.0, 14.0), 9, b"x") == by_hand((0, content))


def test_a_magic_word_in_the_content_is_dropped_and_put_back() -> None:
    """Only where it lies on a multiple of 4, as dmlc's writer has it."""
    head = struct.pack("<IfQQ", 0, 1.0, 5, 0)
    content = (
        b"abcd" + MAGIC + b"efg" + MAGIC + b"h" + MAGIC + b"tail"
    )  # at 4, 11 and 16 of the content, 24 being one of 4
    whole = head + content
    packed = pack((1.0,), 5, content)
    assert packed == by_hand((1, head + b"abcd"), (2, b"efg" + MAGIC + b"h"), (3, b"tail"))
    assert payload(packed) == whole
    assert [flag for flag, _, _ in parts(packed)] == [1, 2, 3]


@given(st.lists(st.sampled_from([b"a", b"bc", MAGIC, MAGIC[:2], MAGIC[2:], b"\0"]), max_size=12), st.integers(1, 4))
def test_there_and_back(pieces: list[bytes], num_labels: int) -> None:
    content, labels = b"".join(pieces), tuple(float(number) for number in range(num_labels))
    packed = pack(labels, 4, content)
    assert len(packed) % 4 == 0
    # A reader that looks for the next record by its magic word must not find one within: flags 0 and 1 begin records.
    starts = [at for at in range(4, len(packed), 4) if packed[at : at + 4] == MAGIC and packed[at + 7] >> 5 in (0, 1)]
    assert not starts
    whole = payload(packed)
    found = record(whole)
    assert (found.labels, whole[found.start :]) == (labels, content)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "ends within a record's head"),
        (b"\0" * 8, "no record begins"),
        (by_hand((0, b"abcd"))[:-1], "longer than what is left"),
        (struct.pack("<II", WORD, (1 << 29) - 1), "longer than what is left"),
        (by_hand((2, b"ab")), "flag 2 where 0 or 1"),
        (by_hand((1, b"ab"), (1, b"cd")), "flag 1 where 2 or 3"),
        (by_hand((1, b"ab")), "ends within a record's head"),
    ],
)
def test_damage_is_named(data: bytes, what: str) -> None:
    with pytest.raises(DataError, match=what):
        payload(data)


def test_headers_that_promise_too_much() -> None:
    for content in (b"short", HEADER.pack(1000, 0.0, 0, 0), HEADER.pack(0xFFFFFFFF, 0.0, 0, 0) + b"\0" * 5000):
        with pytest.raises(DataError, match=r"header|labels"):
            record(content)
