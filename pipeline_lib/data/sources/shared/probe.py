"""Photographs looked at one by one: those that can be used, and a reason for each that cannot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import sha256_file
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.photo import PhotoError, Probe, probe_photo
from pipeline_lib.data.sources.shared.records import PhotoRecord
from pipeline_lib.schemas.rejects import REJECTS

NUM_PROBE_THREADS = 8  # they wait for the disk, not for a core
PROBE_WINDOW = 4096
# Reasons beside those of PhotoError: the bytes of a photograph that stays, and those of another identity's.
COPY, TWO_IDENTITIES = "copy", "two_identities"
Row = dict[str, object]


class TooManyRejects(DataError):
    """More photographs cannot be used than the share allows; `rejects` is the table of all of them."""

    def __init__(self, rejects: Sequence[Row], num_lost: int, num_input: int, max_reject_share: float) -> None:
        lost = [row for row in rejects if row["reason"] != COPY]
        reasons = Counter(str(row["reason"]) for row in lost)
        super().__init__(
            f"{num_lost} of {num_input} photographs cannot be used.",
            got=", ".join(f"{reason}: {count}" for reason, count in reasons.most_common()),
            allowed=f"a share of {max_reject_share}",
            where=f"ingest.max_reject_share; the first is {lost[0]['uri']}: {lost[0]['detail']}",
        )
        self.rejects = table_from_rows(list(rejects), REJECTS)


class Probed(NamedTuple):
    """Rows of the manifest and of the rejects table, and for each copy the image id of the photograph that stays."""

    rows: list[Row]
    rejects: list[Row]
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
        rows and rejects, together as many as photos.

    Raises:
        TooManyRejects: see max_reject_share.
    """
    rows, rejects = _probe_all(photos, split_of, max_pixels)
    rows, copies, stays = _without_copies(rows)
    rejects += copies
    if len(rows) + len(rejects) != len(photos):
        raise RuntimeError(f"{len(photos)} photographs became {len(rows)} rows and {len(rejects)} rejects")
    num_lost = len(rejects) - len(stays)
    if num_lost > max_reject_share * len(photos):
        raise TooManyRejects(rejects, num_lost, len(photos), max_reject_share)
    return Probed(rows, rejects, stays)


def _probe_all(
    photos: Sequence[PhotoRecord], split_of: Mapping[str, str], max_pixels: int
) -> tuple[list[Row], list[Row]]:
    def probe(photo: PhotoRecord) -> tuple[Probe, str] | PhotoError:
        try:
            return probe_photo(photo.path, max_pixels), sha256_file(photo.path)
        except PhotoError as error:
            return error
        except OSError as error:  # it was there for the header and is gone, or the disk fails
            return PhotoError("unreadable", f"the operating system says: {error.strerror or error}")

    rows: list[Row] = []
    rejects: list[Row] = []
    with ThreadPoolExecutor(NUM_PROBE_THREADS) as threads:
        # in windows, so that an interrupt does not have to wait for a million photographs already submitted
        windows = (photos[start : start + PROBE_WINDOW] for start in range(0, len(photos), PROBE_WINDOW))
        results = (result for window in windows for result in threads.map(probe, window))
        for photo, result in zip(photos, track(results, "probe photographs", len(photos)), strict=True):
            row: Row = {"image_id": photo.image_id, "uri": printable(photo.path)}
            if isinstance(result, PhotoError):
                rejects.append(_reject(row, result.reason, result.detail))
                continue
            size, sha256 = result
            row |= {
                "identity": photo.identity,
                "split": split_of[photo.image_id],
                "media": photo.media,
                "sha256": sha256,
            }
            landmarks = None if photo.landmarks is None else [float(value) for value in photo.landmarks]
            rows.append({**row, "width": size.width, "height": size.height, "landmarks": landmarks})
    return rows, rejects


def _without_copies(rows: list[Row]) -> tuple[list[Row], list[Row], dict[str, str]]:
    first: dict[object, Row] = {}
    other: dict[object, Row] = {}  # a row of the same bytes and another identity
    for row in rows:
        if first.setdefault(row["sha256"], row)["identity"] != row["identity"]:
            other.setdefault(row["sha256"], row)
    kept, rejects, stays = list[Row](), list[Row](), dict[str, str]()
    for row in rows:
        same, stranger = first[row["sha256"]], other.get(row["sha256"])
        if stranger is not None:
            shown = stranger if stranger["identity"] != row["identity"] else same
            rejects.append(_reject(row, TWO_IDENTITIES, f"the same bytes as {shown['uri']} of {shown['identity']}"))
        elif same is not row:
            rejects.append(_reject(row, COPY, f"the same bytes as {same['uri']}"))
            stays[str(row["image_id"])] = str(same["image_id"])
        else:
            kept.append(row)
    return kept, rejects, stays


def _reject(row: Row, reason: str, detail: str) -> Row:
    return {"image_id": row["image_id"], "uri": row["uri"], "stage": "ingest", "reason": reason, "detail": detail}
