"""What the page is made from: the files of a rebuild's data folder, read and checked."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report.figures import Curve
from pipeline_lib.matching.regions.fits import RegionFit, read_region_fits
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

Rows = list[dict[str, str]]


@dataclass(frozen=True)
class Sections:
    """What the page shows, as params.yaml names it.

    `networks`: name -> what it is and what it was trained with. `region_trainings`: positions and groups, one a stage.
    """

    networks: Mapping[str, tuple[str, str]]
    region_trainings: Sequence[str]
    positions: Sequence[str]
    explained: Sequence[str]
    reranked: str
    registered: str


@dataclass(frozen=True)
class RejectCount:
    """What one stage rejected: counts by reason, out of `num_inputs`."""

    stage: str
    num_inputs: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Training:
    """One network's training: its figures, and epoch and loss of each history row (none if it was only imported)."""

    metrics: Mapping[str, Any]
    history: Curve


@dataclass(frozen=True)
class Explained:
    """One network's explanation stage: curves["insertion"][method], areas by pair and method, pictures named NN_kind."""

    network: str
    metrics: Mapping[str, Any]
    curves: Mapping[str, Mapping[str, Curve]]
    faithfulness: pa.Table
    pictures: Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Rebuild:
    """Everything the page shows; fields named after the stages' files (docs/stages.md)."""

    sections: Sections
    manifest: pa.Table
    rejects: Sequence[RejectCount]
    trainings: Mapping[str, Training]
    region_trainings: Mapping[str, Training]
    verification: Mapping[str, Mapping[str, Mapping[str, Any]]]
    scores: pa.Table
    roc: Mapping[str, Mapping[str, Curve]]
    calibration: Mapping[str, Mapping[str, Any]]
    region_fits: Mapping[str, RegionFit]
    weight_map: bytes
    regions: Rows
    reranking: Mapping[str, Mapping[str, Any]]
    ranks: pa.Table
    explained: Sequence[Explained]
    registered: Mapping[str, Any]


def read_rebuild(data: Path, sections: Sections) -> Rebuild:
    """Read all stages' outputs below `data`.

    Raises:
        DataError: a file is missing or breaks its contract; names it.
    """
    manifest = read_table(data / "ingest" / "manifest.parquet", MANIFEST)
    ingested, aligned = (read_table(data / stage / "rejects.parquet", REJECTS) for stage in ("ingest", "align"))
    rejects = [
        RejectCount("ingest", manifest.num_rows + ingested.num_rows, _reasons(ingested)),
        RejectCount("align", manifest.num_rows, _reasons(aligned)),
    ]
    return Rebuild(
        sections=sections,
        manifest=manifest,
        rejects=rejects,
        trainings={name: read_training(data / "train" / name) for name in sections.networks},
        region_trainings={name: read_training(data / "train_region" / name) for name in sections.region_trainings},
        verification=read_json(data / "verify" / "metrics.json"),
        scores=_read_scores(data / "verify" / "scores.parquet"),
        roc=_read_roc(data / "verify" / "roc.csv"),
        calibration=read_json(data / "verify" / "calibration.json"),
        region_fits=read_region_fits(data / "region_weights" / "weights.json", sections.positions),
        weight_map=_read_picture(data / "region_weights" / "weight_map.png"),
        regions=read_csv(data / "verify" / "regions.csv"),
        reranking=read_json(data / "rerank" / "metrics.json"),
        ranks=read_table(data / "rerank" / "ranks.parquet", RANKS),
        explained=[read_explained(data / "explain" / name, name) for name in sections.explained],
        registered=read_json(data / "register" / "registered.json"),
    )


def read_training(folder: Path) -> Training:
    """Read one training stage's log folder; see read_rebuild."""
    path = folder / "history.csv"
    epoch, loss = columns(read_csv(path), ("epoch", "loss"), path)
    return Training(read_json(folder / "metrics.json"), (epoch, loss))


def read_explained(folder: Path, network: str) -> Explained:
    """Read one network's explanation stage; see read_rebuild."""
    pictures = folder / "pictures"
    if not pictures.is_dir():
        raise DataError("The explained pairs' pictures are missing; run the explain stage.", where=pictures)
    return Explained(
        network=network,
        metrics=read_json(folder / "metrics.json"),
        curves=_read_curves(folder / "curves.csv"),
        faithfulness=read_table(folder / "faithfulness.parquet", FAITHFULNESS),
        pictures=[(path.stem, path.read_bytes()) for path in sorted(pictures.glob("*.png"))],
    )


def gallery_images(folder: Path) -> Callable[[str], Any]:
    """A reader key -> image of the aligned or occluded set in `folder`.

    Raises:
        DataError: the index is missing; calling it with a key the set lacks.
    """
    from pipeline_lib.networks.embedding.images import ShardImages

    images = ShardImages(folder)
    row_of = {key: row for row, key in enumerate(images.keys)}

    def read(key: str) -> Any:
        if key not in row_of:
            raise DataError("An image that a ranking names is not in its shards.", got=key, where=folder)
        return images.read([row_of[key]])[0]

    return read


def num_aligned(folder: Path) -> int:
    """Images of an aligned or occluded set."""
    return len(set(read_table(folder / "index.parquet", SHARD_INDEX)["key"].to_pylist()))


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
        raise DataError(
            "A table's column is missing or not a number.", got=repr(error), allowed=names, where=where
        ) from error


def _read_scores(path: Path) -> pa.Table:
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


def _read_picture(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError("A picture is missing; run the stage that draws it.", where=path) from None


def _read_roc(path: Path) -> dict[str, dict[str, Curve]]:
    curves: dict[str, dict[str, Curve]] = {}
    for (protocol, score), rows in _grouped(read_csv(path), ("protocol", "score"), path).items():
        far, tar = columns(rows, ("far", "tar"), path)
        curves.setdefault(protocol, {})[score] = (far, tar)
    return curves


def _read_curves(path: Path) -> dict[str, dict[str, Curve]]:
    curves: dict[str, dict[str, Curve]] = {}
    for (method, metric), rows in _grouped(read_csv(path), ("method", "metric"), path).items():
        share, score = columns(rows, ("share", "mean_score"), path)
        curves.setdefault(metric, {})[method] = (share, score)
    return curves


def _grouped(rows: Rows, names: Sequence[str], where: Path) -> dict[tuple[str, ...], Rows]:
    groups: dict[tuple[str, ...], Rows] = {}
    for row in rows:
        try:
            groups.setdefault(tuple(row[name] for name in names), []).append(row)
        except KeyError as error:
            raise DataError("A table lacks a column.", got=sorted(row), allowed=f"with {error}", where=where) from error
    return groups


def _reasons(rejects: pa.Table) -> dict[str, int]:
    return dict(Counter(rejects["reason"].to_pylist()).most_common())


def first_protocol(scores: pa.Table) -> str:
    """The protocol the headline is taken from: the first one of the table that is not the validation set.

    Raises:
        DataError: the table has no pairs.
    """
    names = pc.unique(scores["protocol"]).to_pylist()
    if not names:
        raise DataError("The pair scores are empty.", allowed="at least one protocol")
    return str(next((name for name in names if name != "val"), names[0]))
