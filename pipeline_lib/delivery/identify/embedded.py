"""A gallery's photographs to faces that a score compares; what an earlier search found is taken from its cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.data.faces.align_batch import AlignedFace, Outcome, align_batch, crashed_row
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.identify.cache import SCHEMA, SMALL, STAMP, read_cache, read_faces, write_cache
from pipeline_lib.delivery.identify.gallery import Listing, Photograph, Unusable
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.matching.scores.shared.faces import Faces

PHOTOGRAPHS_A_BATCH = 16
PHOTOGRAPHS_A_SAVE = 512  # what a search that is stopped loses at most: about a minute of a core
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Gallery:
    """The usable photographs of a gallery, N >= 1, in the order of their keys.

    Attributes:
        keys: paths in the gallery.
        names: whose each is.
        faces: what the score needs of them, but for pixels.
        cache: the file that has the aligned faces.
        unusable: photographs and folders that cannot be used.
        left_out: other files, by suffix.
        num_new: how many photographs, usable or not, were looked at now and not before.
    """

    keys: Sequence[str]
    names: Sequence[str]
    faces: Faces
    cache: Path
    unusable: Sequence[Unusable]
    left_out: dict[str, int]
    num_new: int

    def images(self, rows: Sequence[int]) -> Images:
        """The aligned faces of some photographs, uint8 (n, 112, 112, 3); raises DataError as cache.read_faces."""
        return np.stack(read_faces(self.cache, [self.keys[row] for row in rows]))


def embed_gallery(listing: Listing, folder: Path, opened: Opened, cache: Path, num_workers: int) -> Gallery:
    """Look at the photographs that the cache does not know as they are, and bring the cache up to date.

    The cache is saved on the way, so a search that was stopped goes on from there.

    Args:
        listing: of `folder`.
        folder: the gallery.
        opened: the verifier.
        cache: from cache.cache_file, of this folder and this model.
        num_workers: processes that detect; see core.parallel.map_batches.

    Raises:
        DataError: no photograph can be used, or the cache cannot be written.
    """
    known = read_cache(cache, with_faces=False)
    kept, new = _compared(known, listing)
    if new or len(kept) < known.num_rows:
        try:
            known, num_new = _updated(cache, listing, folder.resolve(), opened, num_workers)
        except OSError as error:
            where = "--cache names another folder"
            raise DataError("The gallery's cache cannot be written.", got=error, allowed=where, where=cache) from error
        return _gallery(known, listing, cache, num_new)
    return _gallery(known, listing, cache, 0)


def _compared(known: pa.Table, listing: Listing) -> tuple[list[int], list[Photograph]]:
    """The table's rows that are of photographs as they are, and the photographs that have none."""
    columns = (known[name].to_pylist() for name in ("key", *STAMP))
    row_of = {(key, *stamp): row for row, (key, *stamp) in enumerate(zip(*columns, strict=True))}
    rows = [row_of.get((photo.key, *photo.stamp)) for photo in listing.photographs]
    new = [photo for photo, row in zip(listing.photographs, rows, strict=True) if row is None]
    return [row for row in rows if row is not None], new


def _updated(cache: Path, listing: Listing, folder: Path, opened: Opened, num_workers: int) -> tuple[pa.Table, int]:
    """The cache's table as the gallery is, which is also in the file, and how many photographs were looked at."""
    whole = read_cache(cache, with_faces=True)
    kept, new = _compared(whole, listing)
    whole = whole.take(pa.array(kept, pa.int64()))
    for table in looked_at(new, folder, opened, num_workers):
        whole = pa.concat_tables([whole, table])
        write_cache(cache, whole)
    return whole.select(SMALL), len(new)


def looked_at(new: Sequence[Photograph], folder: Path, opened: Opened, num_workers: int) -> Iterator[pa.Table]:
    """What the model finds in photographs, PHOTOGRAPHS_A_SAVE at a time: tables of cache.SCHEMA, in order; at least one.

    Args:
        new: their keys are paths that start from `folder`.
        num_workers: processes that detect; see core.parallel.map_batches.
    """
    rows: list[dict[str, object]] = []
    for photo, outcome in zip(new, _aligned(new, folder, opened, num_workers), strict=True):
        rows.append(_row(photo, outcome))
        if len(rows) == PHOTOGRAPHS_A_SAVE:
            yield _with_features(rows, opened)
            rows = []
    yield _with_features(rows, opened)


def _aligned(new: Sequence[Photograph], folder: Path, opened: Opened, num_workers: int) -> Iterator[Outcome]:
    settings = opened.verifier.settings
    rows = [{"image_id": photo.key, "identity": photo.name, "split": "gallery", "uri": photo.key} for photo in new]
    batches = [rows[first : first + PHOTOGRAPHS_A_BATCH] for first in range(0, len(rows), PHOTOGRAPHS_A_BATCH)]
    function = partial(
        align_batch,
        align=settings.align,
        weights=opened.detector_weights,
        root=folder,
        max_pixels=settings.max_pixels,
    )
    workers = min(num_workers, len(batches)) if len(batches) > 1 else 0
    done = map_batches(function, batches, workers, crashed=crashed_row)
    for outcomes in track(done, f"batches of {PHOTOGRAPHS_A_BATCH} photographs", len(batches)):
        yield from outcomes


def _row(photo: Photograph, outcome: Outcome) -> dict[str, object]:
    row: dict[str, object] = {"key": photo.key, **dict(zip(STAMP, photo.stamp, strict=True))}
    if isinstance(outcome, AlignedFace):
        return row | {"image": outcome.image}
    return row | {"reason": outcome["reason"], "detail": outcome["detail"]}


def _with_features(rows: list[dict[str, object]], opened: Opened) -> pa.Table:
    usable = [row for row in rows if "image" in row]
    if usable:
        images = np.stack([np.asarray(row.pop("image"), np.uint8) for row in usable])
        faces = opened.verifier.encoder.encode(images)
        needs = opened.verifier.scorer.needs
        for place, row in enumerate(usable):
            row["face"] = encode_png(images[place])
            row["vector"] = None if faces.vectors is None else faces.vectors[place]
            if faces.patches is not None and (needs.with_patches or needs.positions):
                row["patches"], row["num_patches"] = faces.patches[place].ravel(), faces.patches.shape[1]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _gallery(table: pa.Table, listing: Listing, cache: Path, num_new: int) -> Gallery:
    table = table.sort_by("key")
    keys, reasons, details = (table[name].to_pylist() for name in ("key", "reason", "detail"))
    refused = [Unusable(*row) for row in zip(keys, reasons, details, strict=True) if row[1] is not None]
    unusable = sorted([*listing.unusable, *refused], key=lambda one: one.key)
    usable = table.filter(pa.array([reason is None for reason in reasons], pa.bool_()))
    if not usable.num_rows:
        raise DataError(
            "The gallery has no photograph that can be used.",
            got=_in_words(unusable, dict(listing.left_out)),
            allowed="a photograph with one face, in a folder a person or loose",
        )
    name_of = {photo.key: photo.name for photo in listing.photographs}
    keys = usable["key"].to_pylist()
    return Gallery(
        keys, [name_of[key] for key in keys], faces_of(usable), cache, unusable, dict(listing.left_out), num_new
    )


def _in_words(unusable: Sequence[Unusable], left_out: dict[str, int]) -> str:
    shown = [f"{one.key}: {one.reason.replace('_', ' ')} ({one.detail})" for one in unusable[:5]]
    more = [f"and {len(unusable) - 5} more"] if len(unusable) > 5 else []
    others = [f"other files: {', '.join(f'{kind} {count}' for kind, count in left_out.items())}"] if left_out else []
    return "; ".join([*shown, *more, *others]) or "an empty folder"


def faces_of(usable: pa.Table) -> Faces:
    """What a table of cache.SCHEMA has of usable photographs, but for pixels."""
    num = usable.num_rows
    vectors, patches = (_floats(usable[name]) for name in ("vector", "patches"))
    return Faces(
        None if vectors is None else vectors.reshape(num, -1),
        None if patches is None else patches.reshape(num, usable["num_patches"][0].as_py(), -1),
    )


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float32] | None:
    """All rows' values one after another, None where no row has any."""
    if column.null_count == len(column):
        return None
    return np.asarray(pa.concat_arrays(column.chunks).flatten().to_numpy(zero_copy_only=False), np.float32)
