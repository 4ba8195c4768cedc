"""The kinds of files that chapters read, checked."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import decode_image, is_image
from pipeline_lib.data.shards.reader import ShardReader
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.delivery.report.figures import Curve
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

Rows = list[dict[str, str]]


def read_csv(path: Path) -> Rows:
    """Rows of a CSV file with a header; raises DataError if it is missing."""
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            return list(csv.DictReader(handle))
    except FileNotFoundError:
        raise DataError("A table is missing; run the stage that writes it.", where=path) from None


def columns(rows: Rows, names: Sequence[str], where: Path | str) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """Columns of a CSV as float64.

    Raises:
        DataError: a column is missing or holds something else than numbers.
    """
    try:
        return [np.array([float(row[name]) for row in rows], np.float64) for name in names]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("A table's columns are not as they should be.", got=repr(error), where=where) from error


def read_curves(path: Path, names: Sequence[str], x: str, y: str) -> dict[tuple[str, ...], Curve]:
    """The curves of a CSV of points: the values of columns `names` -> (x, y), in the order of the file.

    Raises:
        DataError: see columns.
    """
    found = {}
    for key, rows in _groups(path, names).items():
        xs, ys = columns(rows, (x, y), path)
        found[key] = (xs, ys)
    return found


def read_bands(path: Path, names: Sequence[str], x: str, y: str) -> dict[tuple[str, ...], Band]:
    """read_curves with the ends of y's interval, columns low and high; NaN where there is none."""
    found = {}
    for key, rows in _groups(path, names).items():
        xs, ys, low, high = columns(rows, (x, y, "low", "high"), path)
        found[key] = (xs, ys, low, high)
    return found


def _groups(path: Path, names: Sequence[str]) -> dict[tuple[str, ...], Rows]:
    groups: dict[tuple[str, ...], Rows] = {}
    for row in read_csv(path):
        try:
            groups.setdefault(tuple(row[name] for name in names), []).append(row)
        except KeyError as error:
            raise DataError("A table lacks a column.", got=sorted(row), allowed=f"with {error}", where=path) from error
    return groups


def read_pair_scores(path: Path) -> pa.Table:
    """Pairs with their scores: the columns of schemas.pairs.PAIRS and one a score.

    Raises:
        DataError: the file is missing or damaged, or lacks a column of the pairs.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError("A table is missing; run the stage that writes it.", where=path) from None
    except pa.ArrowInvalid as error:
        raise DataError("A file is not a readable Parquet table.", got=error, where=path) from error
    missing = [name for name in PAIRS.names if name not in table.column_names]
    if missing:
        raise DataError("The pair scores lack columns.", got=table.column_names, allowed=PAIRS.names, where=path)
    return table


def read_picture(path: Path) -> bytes:
    """A picture's bytes; raises DataError if it is missing."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError("A picture is missing; run the stage that draws it.", where=path) from None


def read_pictures(folder: Path) -> dict[str, bytes]:
    """The PNG files of a folder, by name without suffix, sorted; raises DataError if there is no such folder."""
    if not folder.is_dir():
        raise DataError("A folder of pictures is missing; run the stage that draws them.", where=folder)
    return {path.stem: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def read_images(data: Path, keys: Iterable[str]) -> dict[str, npt.NDArray[np.uint8]]:
    """Some images of the aligned, occluded and attacked sets below `data`, uint8 (112, 112, 3) RGB, by key.

    Raises:
        DataError: an index is missing, or no set has a key.
    """
    wanted = sorted(set(keys))
    images: dict[str, npt.NDArray[np.uint8]] = {}
    attacked = sorted(path.parent for path in (data / "attack").glob("*/index.parquet"))
    for folder in (data / "align", data / "occlude", *attacked):
        index = read_table(folder / "index.parquet", SHARD_INDEX)
        is_wanted = pc.is_in(index["key"], pa.array(wanted, pa.string()))
        rows = index.filter(pc.and_(is_image(index), is_wanted))
        reader = ShardReader(folder / "shards", rows)
        images |= {key: decode_image(reader.read(row)) for row, key in enumerate(rows["key"].to_pylist())}
    missing = [key for key in wanted if key not in images]
    if missing:
        raise DataError("An image that a ranking names is not in its shards.", got=missing[0], where=data)
    return images
