"""The explanations of a run as a claim has to know them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table

Pair = tuple[str, str]  # its image ids
Rows = Mapping[Pair, Mapping[str, Any]]
Values = Mapping[Pair, float]
People = Mapping[Pair, tuple[str, str]]


@dataclass(frozen=True)
class Explained:
    """An entry of `explanations` of this run.

    Attributes:
        name: says nothing about what it is.
        kind: the method.
        network: whose score it explains.
        folder: what stage explain wrote.
        settings: the kind's own keys.
    """

    name: str
    kind: str
    network: str
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def rows(self, protocol: str, schema: pa.Schema, file: str) -> Rows:
        """The rows of one of its tables that are of a protocol, by pair.

        Raises:
            DataError: the file is missing or breaks its contract.
        """
        table = read_table(self.folder / file, schema)
        of_it = table.filter(pc.equal(table["protocol"], protocol)).to_pylist()
        return {(row["image_a"], row["image_b"]): row for row in of_it}


def read_explained(folder: Path) -> list[Explained]:
    """The entries below data/explain, by name; none where there is no such folder.

    Raises:
        DataError: an entry has no metrics.json, or it does not say what explained whom.
    """
    entries = sorted(path.parent for path in folder.glob("[!.]*/maps.arrow"))
    return [_read(entry) for entry in entries]


def of_network(entries: Iterable[Explained], network: str, *kinds: str) -> list[Explained]:
    """The entries that explain a network, of these kinds where some are given."""
    return [entry for entry in entries if entry.network == network and (not kinds or entry.kind in kinds)]


def _read(folder: Path) -> Explained:
    path = folder / "metrics.json"
    metrics = read_json(path)
    try:
        return Explained(folder.name, metrics["kind"], metrics["network"], folder, metrics["settings"])
    except KeyError as error:
        raise DataError("An explanation's figures lack a key.", got=f"no {error}", where=path) from None
