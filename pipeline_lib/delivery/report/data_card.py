"""The data card: what a rebuild's photographs are, by source and split; counted on all, looked at on a sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import decode_image, is_image
from pipeline_lib.data.shards.reader import ShardReader
from pipeline_lib.delivery.report.face_figures import brightness, sharpness, yaw_deg
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.schemas.manifest import MANIFEST, SPLITS
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

MOST_LOOKED_AT = (
    1000  # aligned images of a split, evenly spread: the quantiles of more differ by a few hundredths of their spread
)
QUANTILES = {"low": 0.05, "median": 0.5, "high": 0.95}
LOOKED_AT = ("brightness", "sharpness", "yaw_deg")
ALL = "all sources"

Card = dict[str, Any]


@dataclass(frozen=True)
class CardData:
    """What the card is made of.

    Attributes:
        photos: of the manifest, image_id, identity, split, uri, width, height.
        rejects: schemas.rejects.REJECTS, of ingest and align.
        aligned: of the aligned index, image_id, identity, split.
        looked_at: image_id, and LOOKED_AT, of the sample.
        counts: what ingest counted on the way (counts.json).
    """

    photos: pa.Table
    rejects: pa.Table
    aligned: pa.Table
    looked_at: pa.Table
    counts: Mapping[str, int]


def read_card_data(data: Path) -> CardData:
    """Read the tables of ingest and align below `data`, and decode up to MOST_LOOKED_AT aligned images of each split.

    Raises:
        DataError: a table is missing or breaks its contract, or an image is unreadable.
    """
    index = read_table(data / "align" / "index.parquet", SHARD_INDEX)
    index = index.filter(is_image(index)).combine_chunks()
    splits = index["split"].to_numpy(zero_copy_only=False)
    chosen = [
        rows[:: -(-len(rows) // MOST_LOOKED_AT)]
        for rows in (np.flatnonzero(splits == name) for name in SPLITS)
        if len(rows)
    ]
    sample = index.take(np.sort(np.concatenate(chosen)))
    rejects = [read_table(data / stage / "rejects.parquet", REJECTS) for stage in ("ingest", "align")]
    return CardData(
        photos=read_table(data / "ingest" / "manifest.parquet", MANIFEST).select(
            ["image_id", "identity", "split", "uri", "width", "height"]
        ),
        rejects=pa.concat_tables(rejects),
        aligned=index.select(["image_id", "identity", "split"]),
        looked_at=_looked_at(data / "align" / "shards", sample),
        counts=read_json(data / "ingest" / "counts.json"),
    )


def _looked_at(shards: Path, sample: pa.Table) -> pa.Table:
    reader = ShardReader(shards, sample)
    images = (decode_image(reader.read(row)) for row in range(sample.num_rows))
    figures = np.array([(brightness(image), sharpness(image)) for image in images], np.float64).reshape(-1, 2)
    landmarks = np.array(sample["landmarks"].to_pylist(), np.float64).reshape(-1, 5, 2)
    columns = (*figures.T, yaw_deg(landmarks))
    return pa.table({"image_id": sample["image_id"], **dict(zip(LOOKED_AT, columns, strict=True))})


def make_card(found: CardData, ingest: Ingest, made: Path) -> Card:
    """The card as plain values, for JSON.

    Args:
        found: see read_card_data.
        ingest: the section; its sources' licence and about are the card's.
        made: the folder in which ingest puts photographs that are no files of their own.

    Returns:
        sources: kind, path, split, faces, licence, about of each; sets: of each split, all sources together where there are
        several, and each source's own: num_photographs, num_aligned, num_identities, and the quantiles low (5 %), median, high
        (95 %) of images_per_identity, short_side_px, and brightness, sharpness, yaw_deg of num_looked_at aligned images;
        images_per_identity as a histogram, too; rejects: stage -> reason -> source -> number; overlaps: identities that were
        joined or removed, and copies.
    """
    names = [f"{source.kind} {source.path}".strip() for source in ingest.sources]
    folders = _folders(ingest, made)
    of_photo = _source_of(found.photos["uri"], folders)
    of_aligned = of_photo[_rows(found.aligned, found.photos)]
    photo_of_seen = _rows(found.looked_at, found.photos)
    splits = found.photos["split"].to_numpy(zero_copy_only=False)
    sets = []
    for split in SPLITS:
        groups = [(ALL, None)] if len(names) > 1 else []
        for name, source in [*groups, *((name, number) for number, name in enumerate(names))]:
            here = splits == split if source is None else (splits == split) & (of_photo == source)
            if here.any():
                aligned = found.aligned["split"].to_numpy(zero_copy_only=False) == split
                aligned &= True if source is None else of_aligned == source
                figures = _of_set(found.photos.filter(pa.array(here)), found.aligned.filter(pa.array(aligned)))
                seen = found.looked_at.filter(pa.array(here[photo_of_seen]))
                figures |= {"num_looked_at": seen.num_rows}
                figures |= {column: quantiles(seen[column].to_numpy()) for column in LOOKED_AT}
                sets.append({"split": split, "source": name, **figures})
    counts = found.counts
    return {
        "sources": [source.model_dump() for source in ingest.sources],
        "sets": sets,
        "rejects": _rejects(found.rejects, names, folders),
        "overlaps": {name: counts[f"num_{name}"] for name in ("overlaps_joined", "overlaps_removed", "copies")},
    }


def quantiles(values: npt.ArrayLike) -> dict[str, float] | None:
    """QUANTILES of the finite values; None where there is none."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None
    return {name: round(float(np.quantile(numbers, share)), 2) for name, share in QUANTILES.items()}


def _of_set(photos: pa.Table, aligned: pa.Table) -> Card:
    images = np.array(
        aligned.group_by("identity").aggregate([("identity", "count")])["identity_count"].to_pylist(), int
    )
    numbers, people = np.unique(images, return_counts=True)
    return {
        "num_photographs": photos.num_rows,
        "num_aligned": aligned.num_rows,
        "num_identities": len(images),
        "images_per_identity": quantiles(images),
        "images_per_identity_histogram": {
            str(number): int(count) for number, count in zip(numbers, people, strict=True)
        },
        "short_side_px": quantiles(pc.min_element_wise(photos["width"], photos["height"]).to_numpy()),
    }


def _rejects(rejects: pa.Table, names: Sequence[str], folders: Sequence[Sequence[str]]) -> Card:
    counted: Card = {}
    sources = _source_of(rejects["uri"], folders)
    for stage, reason, source in zip(rejects["stage"].to_pylist(), rejects["reason"].to_pylist(), sources, strict=True):
        name = names[source] if source >= 0 else "another place"
        of_reason = counted.setdefault(stage, {}).setdefault(reason, {})
        of_reason[name] = of_reason.get(name, 0) + 1
    return counted


def _folders(ingest: Ingest, made: Path) -> list[list[str]]:
    """Of each source, how the places of its photographs may begin: its own folder or file, or where ingest put them."""
    own = [source.path if "://" in source.path else str(Path(ingest.root) / source.path) for source in ingest.sources]
    return [
        [str(made / source.kind), f"{made / source.kind}-{number}", own[number]]
        for number, source in enumerate(ingest.sources)
    ]


def _source_of(uris: pa.ChunkedArray, folders: Sequence[Sequence[str]]) -> npt.NDArray[np.int64]:
    """Which source each photograph is of, int64; -1 for none of several. The longest beginning decides (a folder in a folder)."""
    if len(folders) == 1:
        return np.zeros(len(uris), np.int64)
    found = np.full(len(uris), -1, np.int64)
    beginnings = sorted((len(begin), number, begin) for number, own in enumerate(folders) for begin in own)
    for _, number, begin in beginnings:
        is_own = pc.or_(pc.equal(uris, begin), pc.starts_with(uris, f"{begin.rstrip('/')}/"))
        found[is_own.to_numpy(zero_copy_only=False)] = number
    return found


def _rows(table: pa.Table, photos: pa.Table) -> npt.NDArray[np.int64]:
    """The row of `photos` that each of `table` is of."""
    return np.asarray(
        pc.index_in(table["image_id"], value_set=photos["image_id"].combine_chunks()).to_numpy(), np.int64
    )
