"""Verification sets as InsightFace ships them, `lfw.bin`, `agedb_30.bin.xz`: pictures, and which two show one person."""

import hashlib
import io
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.files import File, find, open_file
from pipeline_lib.data.sources.shared.pack import open_pack
from pipeline_lib.data.sources.shared.records import (
    PairRecord,
    PhotoRecord,
    Photos,
    SourceFaces,
    as_photos,
    make_image_id,
)
from pipeline_lib.data.sources.shared.safe_pickle import load

READS_URLS = True
MAX_BYTES = 4 << 30  # of one set unpacked; the largest published one has 0.3 GB
PIECE_BYTES = 16 << 20
NUM_FOLDS = 10


def unpack(place: File, folder: Path, write: bool) -> SourceFaces:
    """Read the set that `place` is, or all sets in it; the pictures go into one file a set below `folder` (shared.pack).

    Picture 2i and 2i + 1 are pair i, in 10 folds of neighbours; the protocol is called as the file. The set names nobody:
    pictures of the same bytes are one photograph, and all that genuine pairs join is one person, called `<set>-<number>`. An
    impostor pair within what they join stays one.

    Args:
        place: a .bin or .bin.xz, or a folder of them.
        folder: of the packs.
        write: whether packs are written.

    Raises:
        DataError: no set is there, or one is no such pickle, damaged, cut, or unpacks to more than MAX_BYTES; see
            safe_pickle.load.
    """
    files = [*find(place, ".bin"), *find(place, ".bin.xz")]
    if not isinstance(place, str):
        files = [path for path in files if path == place or Path(path).parent == place]
    if not files:
        raise DataError("There is no verification set.", allowed="<name>.bin or <name>.bin.xz", where=place)
    sets = [_read_set(path, folder / Path(path).name.partition(".")[0], write) for path in dict.fromkeys(files)]
    photos = Photos().joined(faces.photos for faces in sets)
    return SourceFaces(photos, [pair for faces in sets for pair in faces.pairs], frozenset(photos.unique("identity")))


def _read_set(path: File, target: Path, write: bool) -> SourceFaces:
    name = target.name
    try:
        pictures, same = _pictures_and_answers(load(_content(path)))
    except DataError as error:
        raise DataError(f"{error}", where=path) from error
    encoded = dict[int, bytes]()  # a pickle may name one picture a million times
    for number, picture in enumerate(pictures):
        if id(picture) not in encoded:
            encoded[id(picture)] = _encoded(picture, number, path)
    contents = [encoded[id(picture)] for picture in pictures]
    digests = [hashlib.sha256(content).digest() for content in contents]
    first = {digest: number for number, digest in reversed(list(enumerate(digests)))}
    of = [first[digest] for digest in digests]  # picture -> the first with its bytes
    person = _joined(of, same)
    ids = {number: make_image_id(name, f"{number:06d}") for number in first.values()}
    photos = []
    with open_pack(target.with_suffix(".pack"), write) as pack:
        for number in sorted(ids):
            offset, length = pack.add(contents[number])
            identity = f"{name}-{person[number]:06d}"
            photos.append(
                PhotoRecord(ids[number], identity, str(pack.path), None, ids[number], offset=offset, length=length)
            )
    num_folds = min(NUM_FOLDS, len(same))
    pairs = [
        PairRecord(name, i * num_folds // len(same), ids[of[2 * i]], ids[of[2 * i + 1]], genuine)
        for i, genuine in enumerate(same)
        if of[2 * i] != of[2 * i + 1]
    ]
    return SourceFaces(as_photos(photos), pairs)


def _content(path: File) -> bytes:
    try:
        with open_file(path) as file, lzma.open(file) if str(path).endswith(".xz") else file as handle:
            data = bytearray()
            while len(data) <= MAX_BYTES and (piece := handle.read(PIECE_BYTES)):
                data += piece
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError("A verification set cannot be read.", got=error) from error
    if len(data) > MAX_BYTES:
        raise DataError("A verification set unpacks to too much.", got=f"more than {MAX_BYTES} bytes", allowed="less")
    return bytes(data)


def _pictures_and_answers(value: Any) -> tuple[Sequence[Any], list[bool]]:
    allowed = "a list of pictures, and half as many answers"
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise DataError("A verification set is no pair of lists.", got=type(value).__name__, allowed=allowed)
    pictures, answers = value
    answers = answers.tolist() if isinstance(answers, np.ndarray) else answers
    if not isinstance(pictures, list | tuple | np.ndarray) or not isinstance(answers, list | tuple):
        got = f"{type(pictures).__name__} and {type(answers).__name__}"
        raise DataError("A verification set is no pair of lists.", got=got, allowed=allowed)
    if not answers or len(pictures) != 2 * len(answers):
        got = f"{len(pictures)} pictures, {len(answers)} answers"
        raise DataError("A verification set has other pictures than answers.", got=got, allowed=allowed)
    if wrong := [answer for answer in answers if not isinstance(answer, bool | int) or answer not in (0, 1)]:
        raise DataError("A verification set's answer is neither true nor false.", got=repr(wrong[0])[:50])
    return list(pictures), [bool(answer) for answer in answers]


def _encoded(picture: Any, number: int, path: File) -> bytes:
    """The picture's file: bytes as they are, numbers of bytes, or pixels, which become a PNG."""
    if isinstance(picture, bytes | bytearray):
        return bytes(picture)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
        if picture.ndim == 1:
            return picture.tobytes()
        if picture.ndim == 3 and picture.shape[2] == 3 and picture.size:
            buffer = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", compress_level=1)
            return buffer.getvalue()
    got = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
    allowed = "bytes, or an array uint8 of bytes or of pixels (H, W, 3)"
    raise DataError(
        "A verification set holds something else than pictures.",
        got=got,
        allowed=allowed,
        where=f"{path}, picture {number}",
    )


def _joined(of: Sequence[int], same: Sequence[bool]) -> list[int]:
    """The person of each picture: the first one that genuine pairs and equal bytes join it with."""
    parent = list(of)

    def root(picture: int) -> int:
        while parent[picture] != picture:
            parent[picture] = parent[parent[picture]]
            picture = parent[picture]
        return picture

    for pair, genuine in enumerate(same):
        if genuine:
            a, b = sorted((root(2 * pair), root(2 * pair + 1)))
            parent[b] = a
    return [root(picture) for picture in range(len(of))]
