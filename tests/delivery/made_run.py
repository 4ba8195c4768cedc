"""The tables of a run that never was: networks of wanted shapes, and pairs on which each score is as good as wanted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table, write_scores
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.templates import TEMPLATES

ARCFACE = {"kind": "arcface", "scale": 32.0, "margin": 0.3, "gradient": "straight_through"}
NUM_PEOPLE, NUM_FOLDS = 60, 10
GOOD, FAIR = 0.5, 0.3  # how far the genuine pairs' scores lie above the impostors', whose deviation is 0.2


def rrf(side_px: int, mask_share: float = 0.2, layout: str | None = None, mask_mode: str = "drop") -> dict[str, Any]:
    """An RRFNet's patches."""
    usual = "cross5" if side_px == 56 else "no_corners33"
    return {"side_px": side_px, "layout": layout or usual, "mask_share": mask_share, "mask_mode": mask_mode}


def network(patches: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A network of the run: its spec, and `training` (metrics.json), with `changes` to either."""
    spec = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 128, "input_px": 112}
    training = {
        "trained": True,
        "epochs": 12,
        "num_images": 900,
        "num_steps": 700,
        "head": ARCFACE,
        "checkpoint": "data/none",
        "teacher": "none",
    }
    training |= {key: changes.pop(key) for key in list(changes) if key in training}
    return {"spec": {**spec, "patches": patches, **changes}, "training": training}


def bagnet(field_px: int, **changes: Any) -> dict[str, Any]:
    """A BagNet of the run."""
    return network(arch="bagnet", field_px=field_px, **changes)


def write_run(
    data: Path,
    networks: Mapping[str, dict[str, Any]],
    quality: Mapping[str, float],
    protocols: tuple[str, ...] = ("made",),
    num_people: int = NUM_PEOPLE,
) -> None:
    """Write what stage claims reads.

    Args:
        networks: by name, as network() makes them.
        quality: score column -> how far genuine pairs lie above impostor pairs. All scores of a pair share most of
            their noise, so that a difference of quality is a sure one.
    """
    for name, made in networks.items():
        _json(data / "networks" / name / "network.json", {"format": 2, "spec": made["spec"]})
        _json(data / "train" / name / "metrics.json", made["training"])
    (data / "networks").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    pairs = pa.concat_tables([_pairs(protocol, num_people, rng) for protocol in protocols])
    rows = [_photograph(f"{person}_{number}", person) for person in map(str, range(num_people)) for number in range(4)]
    write_table(data / "ingest" / "manifest.parquet", table_from_rows(rows, MANIFEST), MANIFEST)
    write_table(data / "ingest" / "templates.parquet", TEMPLATES.empty_table(), TEMPLATES)
    genuine = pairs["genuine"].to_numpy()
    common = 0.2 * rng.normal(size=len(genuine))
    values = {
        column: np.clip(step * genuine + common + 0.02 * rng.normal(size=len(genuine)), -1, 1)
        for column, step in quality.items()
    }
    kinds = {column: ScoreColumn(column.partition(":")[0], column.startswith("cosine"), True) for column in quality}
    write_scores(data / "verify" / "scores.parquet", score_table(pairs, values, kinds))


def write_about(path: Path, about: Mapping[str, Any]) -> None:
    """An anchor file without anchors: what they are stands in its schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"image_id": pa.array([], pa.string())}).replace_schema_metadata({"about": json.dumps(about)})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def _pairs(protocol: str, num_people: int, rng: np.random.Generator) -> pa.Table:
    """Each person's six genuine pairs, and as many impostor pairs with others of the same fold."""
    rows = []
    for person in range(num_people):
        for a in range(4):
            for b in range(a):
                other = (person + NUM_FOLDS * int(rng.integers(1, num_people // NUM_FOLDS))) % num_people
                for genuine, partner in ((True, person), (False, other)):
                    rows.append(
                        {
                            "protocol": protocol, "fold": person % NUM_FOLDS, "image_a": f"{person}_{a}",
                            "image_b": f"{partner}_{b}", "genuine": genuine,
                        }
                    )  # fmt: skip
    return table_from_rows(rows, PAIRS)


def _photograph(image_id: str, identity: str) -> dict[str, object]:
    return {
        "image_id": image_id, "identity": identity, "split": "test", "media": image_id, "uri": f"{image_id}.png",
        "width": 250, "height": 250, "sha256": "0" * 64, "landmarks": None,
    }  # fmt: skip


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
