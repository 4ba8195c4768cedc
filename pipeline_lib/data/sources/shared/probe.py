"""Photographs looked at one by one: those that can be used, and a reason for each that cannot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.photo import PhotoError, Probe
from pipeline_lib.data.photos.place import look_at
from pipeline_lib.data.sources.shared.records import PhotoRecord
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS

NUM_PROBE_THREADS = 8  # they wait for the disk, not for a core
PROBE_WINDOW = 4096
# Reasons beside those of PhotoError: the bytes of a photograph that stays, and those of another identity's.
COPY, TWO_IDENTITIES = "copy", "two_identities"
NONE = -1
DIGEST_BEGINS = 8  # characters, as many as an int64 has bytes
Row = dict[str, object]


class TooManyRejects(DataError):
    """More photographs cannot be used than the share allows; `rejects` is the table of all of them."""

    def __init__(self, rejects: pa.Table, num_lost: int, num_input: int, max_reject_share: float) -> None:
        lost = rejects.filter(pc.not_equal(rejects["reason"], COPY))
        reasons, first = Counter(lost["reason"].to_pylist()), lost.slice(0, 1).to_pylist()[0]
        super().__init__(
            f"{num_lost} of {num_input} photographs cannot be used.",
            got=", ".join(f"{reason}: {count}" for reason, count in reasons.most_common()),
            allowed=f"a share of {max_reject_share}",
            where=f"ingest.max_reject_share; the first is {first['uri']}: {first['detail']}",
        )
        self.rejects = rejects


class Probed(NamedTuple):
    """The manifest, the rejects table, and for each copy the image id of the photograph that stays."""

    manifest: pa.Table
    rejects: pa.Table
    stays: dict[str, str]


def probe_photos(
    photos: Sequence[PhotoRecord], split_of: Mapping[str, str], max_pixels: int, max_reject_share: float
) -> Probed:
    """Probe every photograph (header and SHA-256) and leave out what cannot be used.

    Of several files with the same bytes the first stays if they are one identity's, and none if they are not: one of the
    two names is wrong, and nothing says which.

    Args:
        photos: in the order that decides what is first.
        split_of: image id -> split.
        max_pixels: see probe_photo.
        max_reject_share: of photographs that are lost; a copy of one that stays is none.

    Returns:
        manifest and rejects, together as many rows as photos.

    Raises:
        TooManyRejects: see max_reject_share.
    """
    probed, unusable = _probe_all(photos, split_of, max_pixels)
    manifest, copies, stays = _without_copies(probed)
    rejects = pa.concat_tables([unusable, copies])
    if manifest.num_rows + rejects.num_rows != len(photos):
        raise RuntimeError(f"{len(photos)} photographs became {manifest.num_rows} rows and {rejects.num_rows} rejects")
    num_lost = rejects.num_rows - len(stays)
    if num_lost > max_reject_share * len(photos):
        raise TooManyRejects(rejects, num_lost, len(photos), max_reject_share)
    return Probed(manifest, rejects, stays)


def _probe_all(
    photos: Sequence[PhotoRecord], split_of: Mapping[str, str], max_pixels: int
) -> tuple[pa.Table, pa.Table]:
    def probe(photo: PhotoRecord) -> tuple[Probe, str] | PhotoError:
        try:
            return look_at(photo.place, max_pixels)
        except PhotoError as error:
            return error

    def row(photo: PhotoRecord, size: Probe, sha256: str) -> Row:
        landmarks = None if photo.landmarks is None else [float(value) for value in photo.landmarks]
        return {
            "image_id": photo.image_id,
            "identity": photo.identity,
            "split": split_of[photo.image_id],
            "media": photo.media,
            "uri": printable(photo.path),
            "offset": photo.offset,
            "length": photo.length,
            "faces": photo.faces,
            "width": size.width,
            "height": size.height,
            "sha256": sha256,
            "landmarks": landmarks,
            "box": photo.box,
            "view": photo.view,
        }

    tables = [(table_from_rows([], MANIFEST), table_from_rows([], REJECTS))]
    rows, rejects = list[Row](), list[Row]()
    with ThreadPoolExecutor(NUM_PROBE_THREADS) as threads:
        # in windows, so that an interrupt does not have to wait for a million photographs already submitted
        windows = (photos[start : start + PROBE_WINDOW] for start in range(0, len(photos), PROBE_WINDOW))
        results = (result for window in windows for result in threads.map(probe, window))
        for photo, result in zip(photos, track(results, "probe photographs", len(photos)), strict=True):
            if isinstance(result, PhotoError):
                rejects.append(_reject(photo.image_id, printable(photo.path), result.reason, result.detail))
            else:
                rows.append(row(photo, *result))
            if len(rows) + len(rejects) == PROBE_WINDOW:  # a million rows are Arrow's, not Python's
                tables.append((table_from_rows(rows, MANIFEST), table_from_rows(rejects, REJECTS)))
                rows, rejects = [], []
    tables.append((table_from_rows(rows, MANIFEST), table_from_rows(rejects, REJECTS)))
    usable, unusable = zip(*tables, strict=True)
    return pa.concat_tables(usable), pa.concat_tables(unusable)


def _without_copies(probed: pa.Table) -> tuple[pa.Table, pa.Table, dict[str, str]]:
    suspected = _begin_alike(probed["sha256"])
    suspects = probed.take(pa.array(suspected))
    content, identity = (_numbers(suspects[name]) for name in ("sha256", "identity"))
    _, first = np.unique(content, return_index=True)
    other = np.full(len(first), NONE)  # by content: the first row of another identity
    differing = np.flatnonzero(identity != identity[first[content]])[::-1]
    other[content[differing]] = differing
    lost = (first[content] != np.arange(suspects.num_rows)) | (other[content] != NONE)

    def text(name: str, i: int) -> str:
        return str(suspects[name][i].as_py())

    rejects, stays = list[Row](), dict[str, str]()
    for i in np.flatnonzero(lost).tolist():
        same, stranger = int(first[content[i]]), int(other[content[i]])
        shown = same if stranger == NONE or identity[stranger] == identity[i] else stranger
        what = f"the same bytes as {text('uri', shown)}"
        if stranger == NONE:
            stays[text("image_id", i)] = text("image_id", same)
            rejects.append(_reject(text("image_id", i), text("uri", i), COPY, what))
        else:
            what += f" of {text('identity', shown)}"
            rejects.append(_reject(text("image_id", i), text("uri", i), TWO_IDENTITIES, what))
    if rejects:  # a filtered table is a second one in memory
        stays_in = np.ones(probed.num_rows, np.bool_)
        stays_in[suspected[lost]] = False
        probed = probed.filter(pa.array(stays_in))
    return probed, table_from_rows(rejects, REJECTS), stays


def _begin_alike(digests: "pa.ChunkedArray") -> npt.NDArray[np.int64]:
    """The rows whose digest begins as another's does, ascending: numbers take a tenth of a table of whole digests."""
    texts = pc.utf8_slice_codeunits(digests, 0, DIGEST_BEGINS).combine_chunks()
    begins = np.frombuffer(texts.cast(pa.binary(DIGEST_BEGINS)).buffers()[1], np.int64)
    _, which, counts = np.unique(begins, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[which] > 1)


def _numbers(column: "pa.ChunkedArray") -> npt.NDArray[np.int64]:
    """Each text's number among the different ones, in the order in which they come."""
    return np.asarray(column.combine_chunks().dictionary_encode().indices.to_numpy(), np.int64)


def _reject(image_id: str, uri: str, reason: str, detail: str) -> Row:
    return {"image_id": image_id, "uri": uri, "stage": "ingest", "reason": reason, "detail": detail}
