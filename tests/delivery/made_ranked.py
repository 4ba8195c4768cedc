"""Re-rankings that never were: queries of wanted kinds, a share of which wanted entries put right."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.schemas.ranks import ENTRY, RANKS
from pipeline_lib.schemas.rerank_seconds import RERANK_SECONDS

NUM_PEOPLE, QUERIES_EACH = 40, 3
# The thesis's claims, by their names in a run in which none can be measured.
THESIS = {
    "E1",
    "E2",
    "E3",
    "E4",
    "E5",
    "E6-uniform",
    "E6-apc",
    "E7",
    "E8",
    "E8-time",
    "E9",
    "E10",
    "V1",
    "V2",
    "V3",
    "V4",
    "V5",
}
MASK, ALL_KINDS = ("mask_cloth",), ("mask_cloth", "sunglasses", "crop", "profile", "adversarial_4")


def settings(**changes: Any) -> dict[str, Any]:
    """The params of an entry: the thesis's own, with changes."""
    usual = {
        "kind": "emd", "network": "net", "with": "none", "queries": "occluded", "centred": False, "index": "exact",
        "top_k": 100, "alpha": 0.7, "weights": "apc", "pool": 1,
        "regularisation": 0.05, "tolerance": 1e-4, "max_iterations": 1000,
    }  # fmt: skip
    return {**usual, **changes}


def vit(**changes: Any) -> dict[str, Any]:
    """The params of an entry of kind face_vit."""
    own = settings(kind="face_vit", **{"with": "networks_over/vit", **changes})
    return {
        key: value
        for key, value in own.items()
        if key not in ("weights", "pool", "regularisation", "tolerance", "max_iterations")
    }


def write_ranked(
    data: Path,
    name: str,
    entry: Mapping[str, Any],
    before: float,
    after: float,
    kinds: tuple[str, ...] = MASK,
    seconds: float = 0.1,
    num_people: int = NUM_PEOPLE,
) -> None:
    """Write an entry of `rerank`: of each kind a share `before` of the queries is right at first, `after` after re-ranking.

    The queries that are right are the first ones of a drawn order, the same for all entries; every fifth has no right answer.
    """
    order = np.random.default_rng(4).permutation(num_people * QUERIES_EACH) / (num_people * QUERIES_EACH)
    ranks, times = [], []
    for kind in kinds:
        for number, place in enumerate(order):
            key, person = f"{number}+{kind}", f"p{number % num_people}"
            right = place < before, place < after
            for candidate in (0, 1):  # 0 is the person
                first = [was if candidate == 0 else not was for was in right]
                ranks.append(
                    {
                        "query_key": key, "query_identity": person, "kind": kind, "gallery_key": f"g{candidate}",
                        "genuine": candidate == 0, "num_relevant": int(number % 5 > 0), "rank_cosine": 1 if first[0] else 2,
                        "rank_reranked": 1 if first[1] else 2, "cosine": 0.5, "compared": 0.5, "reranked": 0.5,
                    }
                )  # fmt: skip
            times.append(
                {"query_key": key, "query_identity": person, "kind": kind, "num_pairs": 100, "num_threads": 1,
                 "seconds": seconds * (1 + 0.1 * place)}
            )  # fmt: skip
    folder = data / "rerank" / name
    write_table(folder / "ranks.parquet", table_from_rows(ranks, RANKS), RANKS)
    write_table(folder / "seconds.parquet", table_from_rows(times, RERANK_SECONDS), RERANK_SECONDS)
    (folder / "metrics.json").write_text(json.dumps({ENTRY: entry}))


def write_over(data: Path, name: str, spec: Mapping[str, Any], **training: Any) -> None:
    """A network of networks_over and its training's record."""
    write_json(data / "networks_over" / name / "network.json", {"format": 2, "spec": spec})
    write_json(data / "train_over" / name / "metrics.json", {"epochs": 5, "num_images": 900, **training})


def over_spec(arch: str, **changes: Any) -> dict[str, Any]:
    """The spec of a transformer over the network `net`."""
    return {
        "arch": arch,
        "over": ["net"],
        "depth": 1,
        "heads": 2,
        "dim": 64,
        "patches": None,
        "input_px": 112,
        **changes,
    }


def say_entry(data: Path, name: str, of: str, beside: str, kind: str, **own: Any) -> None:
    """A score file that says its entry, as stage score writes it; its pairs are read elsewhere."""
    import pyarrow.parquet as pq

    path = data / "scores" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"entry": json.dumps({"kind": kind, "of": of, "with": beside, **own})}
    pq.write_table(pa.table({"x": pa.array([0])}).replace_schema_metadata(said), path)


def write_json(path: Path, value: object) -> None:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
