"""The anchors of a run as a claim has to know them."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.anchors import ABOUT, ANCHORS_FILE


@dataclass(frozen=True)
class AnchorSet:
    """An entry of `anchors`: of what kind they are, whose embeddings, and s and k of G."""

    network: str
    scale: float
    num_neighbours: int
    kind: str


def read_anchor_sets(folder: Path) -> dict[str, AnchorSet]:
    """Those below data/anchors, by name; the vectors are not read.

    Raises:
        DataError: a file is damaged.
    """
    return {path.parent.name: _read(path) for path in sorted(folder.glob(f"[!.]*/{ANCHORS_FILE}"))}


def _read(path: Path) -> AnchorSet:
    try:
        with pa.memory_map(str(path)) as source:
            about = json.loads(pa.ipc.open_file(source).schema.metadata[ABOUT.encode()])
            return AnchorSet(about["network"], about["scale"], about["num_neighbours"], about["kind"])
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DataError("The anchor file is damaged; rerun the build_anchors stage.", got=error, where=path) from error
