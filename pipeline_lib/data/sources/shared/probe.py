"""Photographs looked at one by one: those that can be used, and a reason for each that cannot."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.packed import PackedTable
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.photos.place import LookedAt, Place, look_at_all
from pipeline_lib.data.sources.shared.records import Photos
from pipeline_lib.schemas.landmarks import BOX, LANDMARKS
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS

NUM_PROBE_THREADS = 8  # they wait for the disk, not for a core
PART = 128  # photographs that a thread looks at, one behind the other
# Reasons beside those of PhotoError: the bytes of a photograph that stays, and those of another identity's.
COPY, TWO_IDENTITIES = "copy", "two_identities"
NONE = -1
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
    """The manifest, the rejects table, for each copy the image id of the photograph that stays, and who is in the manifest."""

    manifest: PackedTable
    rejects: pa.Table
    stays: dict[str, str]
    is_usable: npt.NDArray[np.bool_]


def probe_photos(photos: Photos, max_pixels: int, max_reject_share: float) -> Probed:
    """Probe every photograph (header and SHA-256) and leave out what cannot be used.

    Of several files with the same bytes the first stays if they are one identity's, and none if they are not: one of the
    two names is wrong, and nothing says which.

    Args:
        photos: with their splits, in the order that decides what is first.
        max_pixels: see probe_photo.
        max_reject_share: of photographs that are lost; a copy of one that stays is none.

    Returns:
        manifest (of schemas.manifest.MANIFEST) and rejects, together as many rows as photos; is_usable: bool, a row of photos.

    Raises:
        TooManyRejects: see max_reject_share.
    """
    probed, begins, is_usable, unusable = _probe_all(photos, max_pixels)
    manifest, is_kept, copies, stays = _without_copies(probed, begins)
    is_usable[is_usable] = is_kept
    rejects = pa.concat_tables([unusable, copies])
    if manifest.num_rows + rejects.num_rows != len(photos):
        raise RuntimeError(f"{len(photos)} photographs became {manifest.num_rows} rows and {rejects.num_rows} rejects")
    num_lost = rejects.num_rows - len(stays)
    if num_lost > max_reject_share * len(photos):
        raise TooManyRejects(rejects, num_lost, len(photos), max_reject_share)
    return Probed(manifest, rejects, stays, is_usable)


def _probe_all(
    photos: Photos, max_pixels: int
) -> tuple[PackedTable, npt.NDArray[np.int64], npt.NDArray[np.bool_], pa.Table]:
    """What a manifest says of the usable photographs, the begins of their digests, which they are, and the rejects."""
    probed, rejects = PackedTable(MANIFEST), PackedTable(REJECTS)
    begins, usable = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    looked_at = track(_look_at_all(photos, max_pixels), "probe photographs", len(photos), lambda pair: len(pair[1]))
    for batch, results in looked_at:
        found = np.array([not isinstance(one, PhotoError) for one in results], np.bool_)
        rows = [one for one in results if not isinstance(one, PhotoError)]
        whole = batch if found.all() else batch.filter(pa.array(found))
        probed.append(_manifest_rows(whole, rows))
        begins.append(np.frombuffer(b"".join(digest[:8] for _, digest in rows), np.int64))
        usable.append(found)
        lost = zip(*(batch.filter(pa.array(~found))[name].to_pylist() for name in ("image_id", "path")), strict=True)
        errors = [one for one in results if isinstance(one, PhotoError)]
        problems = [
            _reject(image_id, printable(os.fsdecode(path)), error.reason, error.detail)
            for (image_id, path), error in zip(lost, errors, strict=True)
        ]
        rejects.append(pa.RecordBatch.from_pylist(problems, REJECTS))
    return probed, np.concatenate(begins), np.concatenate(usable), rejects.table()


def _look_at_all(photos: Photos, max_pixels: int) -> Iterator[tuple[pa.RecordBatch, list[LookedAt | PhotoError]]]:
    with ThreadPoolExecutor(NUM_PROBE_THREADS) as threads:
        for (
            batch
        ) in photos.batches():  # no more is handed to the threads, so that an interrupt does not wait for a million
            columns = [batch[name].to_pylist() for name in ("path", "offset", "length")]
            places = [Place(os.fsdecode(path), *span) for path, *span in zip(*columns, strict=True)]
            parts = (places[first : first + PART] for first in range(0, len(places), PART))
            found = threads.map(lambda part: look_at_all(part, max_pixels), parts)
            yield batch, [one for part in found for one in part]


def _manifest_rows(batch: pa.RecordBatch, looked_at: Sequence[LookedAt]) -> pa.RecordBatch:
    columns = {name: batch[name] for name in batch.schema.names}
    columns["uri"] = _texts(batch["path"])
    columns["width"] = pa.array([size.width for size, _ in looked_at], pa.int32())
    columns["height"] = pa.array([size.height for size, _ in looked_at], pa.int32())
    columns["sha256"] = pa.array([digest.hex() for _, digest in looked_at], pa.string())
    columns["landmarks"] = _of_fixed_size(batch["landmarks"], LANDMARKS)
    columns["box"] = _of_fixed_size(batch["box"], BOX)
    return pa.RecordBatch.from_arrays([columns[name] for name in MANIFEST.names], schema=MANIFEST)


def _texts(paths: "pa.BinaryArray") -> "pa.StringArray":
    return pa.array([printable(os.fsdecode(path)) for path in paths.to_pylist()], pa.string())


def _of_fixed_size(lists: "pa.ListArray", kind: pa.DataType) -> "pa.FixedSizeListArray":
    return pa.array(lists.to_pylist(), kind) if lists.null_count < len(lists) else pa.nulls(len(lists), kind)


def _without_copies(
    probed: PackedTable, begins: npt.NDArray[np.int64]
) -> tuple[PackedTable, npt.NDArray[np.bool_], pa.Table, dict[str, str]]:
    is_suspected = _begin_alike(begins)
    suspected, suspects = np.flatnonzero(is_suspected), probed.filtered(is_suspected).table()
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
    is_kept = np.ones(probed.num_rows, np.bool_)
    is_kept[suspected[lost]] = False
    return probed.filtered(is_kept), is_kept, table_from_rows(rejects, REJECTS), stays


def _begin_alike(begins: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which digests begin as another one does: numbers take an eighth of a table of whole digests in hex."""
    ordered = np.sort(begins)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(begins, twice) if len(twice) else np.zeros(len(begins), np.bool_)


def _numbers(column: "pa.ChunkedArray") -> npt.NDArray[np.int64]:
    """Each text's number among the different ones, in the order in which they come."""
    return np.asarray(column.combine_chunks().dictionary_encode().indices.to_numpy(), np.int64)


def _reject(image_id: str, uri: str, reason: str, detail: str) -> Row:
    return {"image_id": image_id, "uri": uri, "stage": "ingest", "reason": reason, "detail": detail}
