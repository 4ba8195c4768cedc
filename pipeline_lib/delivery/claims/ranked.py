"""The re-rankings of a run as a claim has to know them: what was ranked how, and which queries came out right."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import log10
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.claims.explained import People, Values
from pipeline_lib.schemas.ranks import ENTRY, RANKS
from pipeline_lib.schemas.rerank_seconds import RERANK_SECONDS


@dataclass(frozen=True)
class Ranked:
    """An entry of `rerank` of this run.

    Attributes:
        name: says nothing about what it is.
        kind: what compared.
        network: whose gallery it is of.
        folder: what stage rerank wrote.
        settings: its params, the kind's own keys among them.
    """

    name: str
    kind: str
    network: str
    folder: Path
    settings: Mapping[str, Any] = field(compare=False)

    @cached_property
    def queries(self) -> Mapping[str, People]:
        """Kind of query -> its queries with a right answer, each with its person twice, as a genuine pair has it."""
        found: dict[str, dict[tuple[str, str], tuple[str, str]]] = {}
        for row in self._firsts["rank_cosine"].to_pylist():
            found.setdefault(row["kind"], {})[row["query_key"], ""] = (row["query_identity"], row["query_identity"])
        return found

    @cached_property
    def before(self) -> Values:
        """1 for each query whose first place by cosine is right, 0 for the others: its P@1."""
        return self._right("rank_cosine")

    @cached_property
    def after(self) -> Values:
        """The same after re-ranking."""
        return self._right("rank_reranked")

    @cached_property
    def log_seconds(self) -> Values:
        """log10 of the seconds that stage 2 took for each query."""
        rows = read_table(self.folder / "seconds.parquet", RERANK_SECONDS).to_pylist()
        return {(row["query_key"], ""): log10(row["seconds"]) for row in rows}

    @cached_property
    def log_pair_seconds(self) -> Values:
        """log10 of the seconds a compared pair."""
        rows = read_table(self.folder / "seconds.parquet", RERANK_SECONDS).to_pylist()
        return {(row["query_key"], ""): log10(row["seconds"] / row["num_pairs"]) for row in rows}

    def differs_in(self, other: "Ranked") -> set[str]:
        """The keys that the two entries do not share; a key that one lacks is none."""
        shared = self.settings.keys() & other.settings.keys()
        return {key for key in shared if self.settings[key] != other.settings[key]}

    @property
    def words(self) -> str:
        """What it is; see entry_words."""
        return entry_words(self.settings)

    @cached_property
    def _firsts(self) -> dict[str, pa.Table]:
        ranks = read_table(self.folder / "ranks.parquet", RANKS)
        known = ranks.filter(pc.greater(ranks["num_relevant"], 0))
        return {rank: known.filter(pc.equal(known[rank], 1)) for rank in ("rank_cosine", "rank_reranked")}

    def _right(self, rank: str) -> Values:
        return {(row["query_key"], ""): float(row["genuine"]) for row in self._firsts[rank].to_pylist()}


def read_ranked(folder: Path) -> list[Ranked]:
    """The entries below data/rerank, by name; none where there is no such folder.

    Raises:
        DataError: an entry has no metrics.json, or it does not say what was ranked.
    """
    return [_read(path.parent) for path in sorted(folder.glob("[!.]*/ranks.parquet"))]


def entry_words(settings: Mapping[str, Any]) -> str:
    """An entry of `rerank` in words: apc weights, alpha 0.7, native grid, the first 100."""
    k, grids = settings["top_k"], {"1": "native grid", "2": "grid averaged 2x2"}
    weights = [f"{settings['weights']} weights"] if "weights" in settings else []
    cells = [grids.get(str(settings["pool"]), "unequal grids")] if "pool" in settings else []
    cells += ["cells less their mean"] if settings.get("less_mean") else []
    centred = ["centred cosines"] if settings["centred"] else []
    extent = "the whole gallery" if k is None else f"the first {k}"
    return ", ".join([*weights, f"alpha {settings['alpha']:g}", *cells, *centred, extent])


def same_but(entries: Collection[Ranked], entry: Ranked, keys: Collection[str]) -> list[Ranked]:
    """The entries that differ from one in some of these keys, and in no other."""
    return [other for other in entries if other != entry and other.differs_in(entry) <= set(keys)]


def _read(folder: Path) -> Ranked:
    path = folder / "metrics.json"
    try:
        settings = read_json(path)[ENTRY]
        return Ranked(folder.name, settings["kind"], settings["network"], folder, settings)
    except KeyError as error:
        raise DataError("A re-ranking's figures lack a key; rerun it.", got=f"no {error}", where=path) from None
