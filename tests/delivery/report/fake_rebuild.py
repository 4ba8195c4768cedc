"""A small but complete data folder as a rebuild leaves it, for tests of the page."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.matching.regions.bootstrap import Uncertainty
from pipeline_lib.matching.regions.fits import RegionFit, write_region_fits
from pipeline_lib.matching.regions.weights import RegionWeights
from pipeline_lib.matching.verification.region_table import REGION_COLUMNS
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

HOSTILE = "<script>alert('x')</script>"
EXPLAINED, POSITIONS = ("rrfnet56",), ("p56_x0_y28", "p56_x28_y28")
NETWORKS = {"iresnet": ("iresnet 1-1-1-1", "arcface"), "rrfnet56": ("RRFNet-56, cross5", "uniface")}
SCORES = ("raw_pixel", "cosine:iresnet", "cosine_centred:iresnet", "cosine:rrfnet56", "regions_56")
NUM_IDENTITIES, IMAGES_EACH = 4, 3


def write_rebuild(data: Path, protocol: str = "synthetic") -> None:
    """Write every file the report reads; identities carry markup in their names, `protocol` is the test pairs' name."""
    rng = np.random.default_rng(0)
    people = [f"{HOSTILE} {number}" for number in range(NUM_IDENTITIES)]
    images = [(f"id{i}_{k}", people[i]) for i in range(NUM_IDENTITIES) for k in range(IMAGES_EACH)]
    _tables(data, images)
    _shards(data / "align", "aligned", images, "", rng)
    _shards(data / "occlude", "occluded", images, "+crop", rng)
    _verification(data / "verify", images, protocol, rng)
    _reranking(data / "rerank", images)
    for name in NETWORKS:
        _training(data / "train" / name)
    for name in POSITIONS:
        _training(data / "train_region" / name)
    _regions(data, protocol)
    for name in EXPLAINED:
        _explanation(data / "explain" / name)
    reason = f"there was no champion {HOSTILE}"
    registered = {"name": "face-verifier", "version": 1, "aliases": ["champion", "challenger"], "reason": reason}
    _json(data / "register" / "registered.json", registered)


def _tables(data: Path, images: list[tuple[str, str]]) -> None:
    rows = [
        {
            "image_id": image_id, "identity": identity, "split": "test", "media": image_id, "uri": f"{identity}.png",
            "width": 250, "height": 250, "sha256": "0" * 64, "landmarks": None,
        }
        for image_id, identity in images
    ]  # fmt: skip
    write_table(data / "ingest" / "manifest.parquet", table_from_rows(rows, MANIFEST), MANIFEST)
    write_table(data / "ingest" / "rejects.parquet", table_from_rows([], REJECTS), REJECTS)
    reject = {"image_id": "x", "uri": HOSTILE, "stage": "align", "reason": "no_face", "detail": HOSTILE}
    write_table(data / "align" / "rejects.parquet", table_from_rows([reject, reject], REJECTS), REJECTS)


def _shards(folder: Path, prefix: str, images: list[tuple[str, str]], suffix: str, rng: np.random.Generator) -> None:
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", prefix, 100) as writer:
        for image_id, identity in images:
            pixels = np.full((112, 112, 3), rng.integers(0, 256, 3), np.uint8)
            points = np.zeros((5, 2), np.float32)
            png = {"png": encode_png(pixels), "json": b"{}"}
            about = {"image_id": image_id, "identity": identity, "split": "test"}
            writer.write(image_id + suffix, png, **about, landmarks=points, score=1.0)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)


def _verification(folder: Path, images: list[tuple[str, str]], protocol: str, rng: np.random.Generator) -> None:
    ids = [image_id for image_id, _ in images]
    rows = [
        {
            "protocol": name,
            "fold": k % 2,
            "image_a": ids[k % 12],
            "image_b": ids[(k * 5 + 1) % 12],
            "genuine": k % 2 == 0,
        }
        for name in (protocol, "val")
        for k in range(40)
    ]
    genuine = np.array([row["genuine"] for row in rows])
    table = table_from_rows(rows, PAIRS)
    for score in SCORES:
        gap = 0.2 if score == "raw_pixel" else 0.8
        table = table.append_column(score, pa.array((gap * genuine + rng.normal(0, 0.2, len(rows))).astype(np.float32)))
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "scores.parquet")
    figures = {
        "accuracy_mean": 0.7,
        "accuracy_std": 0.02,
        "auc": 0.75,
        "eer": 0.3,
        "num_genuine": 20,
        "num_impostor": 20,
    }
    metrics = {name: {score: dict(figures) for score in SCORES} for name in (protocol, "val")}
    for row in metrics.values():
        row["cosine:rrfnet56"] |= {"accuracy_mean": 0.954, "auc": 0.987, "tar@0.1": 0.9}
    _json(folder / "metrics.json", metrics)
    fitted = {
        "threshold": 0.4,
        "slope": 9.0,
        "intercept": -3.6,
        "protocol": "val",
        "num_pairs": 40,
        "auc": 0.98,
        "accuracy": 0.9,
    }
    _json(folder / "calibration.json", dict.fromkeys(SCORES, fitted))
    curve = [(name, score, far, far**0.3) for name in metrics for score in SCORES for far in (0.0, 0.1, 0.5, 1.0)]
    _csv(folder / "roc.csv", [("protocol", "score", "far", "tar"), *curve])


def _regions(data: Path, protocol: str) -> None:
    spread = Uncertainty(np.array([0.05, 0.3]), np.array([[0.6, 0.8], [-0.8, 0.4]]), 20, 0)
    fits = {
        "regions_56": RegionFit(RegionWeights(list(POSITIONS), np.array([0.7, -0.2]), 0.1, 1.0, {1.0: 0.3}), spread)
    }
    write_region_fits(data / "region_weights" / "weights.json", fits)
    (data / "region_weights" / "weight_map.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    kinds = {f"region.{name}": "position" for name in POSITIONS}
    kinds |= {"regions_56": "combination", "cosine:iresnet": "whole_face"}
    figures = (0.8125, 0.0125, 0.75, 0.3, 20, 20)
    rows = [(name, kind, score, *figures) for name in (protocol, "val") for score, kind in kinds.items()]
    _csv(data / "verify" / "regions.csv", [REGION_COLUMNS, *rows])


def _reranking(folder: Path, images: list[tuple[str, str]]) -> None:
    rows = []
    for query, (image_id, identity) in enumerate(images):
        candidates = [other for other in images if other[0] != image_id][:8]
        for place, (other, who) in enumerate(candidates):
            rows.append(
                {
                    "query_key": f"{image_id}+crop", "kind": "crop", "gallery_key": other, "genuine": who == identity,
                    "num_relevant": 2, "rank_cosine": place + 1, "rank_reranked": (place + query) % 8 + 1,
                    "cosine": 0.5, "emd": 0.5, "reranked": 0.5,
                }
            )  # fmt: skip
    write_table(folder / "ranks.parquet", table_from_rows(rows, RANKS), RANKS)
    stage = {"p_at_1": 0.5, "rp": 0.4, "map_at_r": 0.3}
    row = {
        "cosine": stage,
        "emd_reranked": {**stage, "p_at_1": 0.625},
        "num_queries": 12,
        "num_left_out": 0,
        "num_not_converged": 0,
    }
    _json(folder / "metrics.json", {"crop": row, "all": row})


def _training(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = [(step, step / 10, 5.0 / step, 0.1, 100.0) for step in (10, 20, 30)]
    _csv(folder / "history.csv", [("step", "epoch", "loss", "learning_rate", "images_per_s"), *rows])
    figures = {
        "num_parameters": 12345,
        "num_steps": 30,
        "num_images": 12,
        "num_identities": 4,
        "loss": 0.17,
        "images_per_s": 100.0,
    }
    _json(folder / "metrics.json", {**figures, "wall_time_s": 3.0, "trained": True})


def _explanation(folder: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    for name in ("00_genuine", "01_impostor", "02_genuine"):
        (folder / "pictures" / f"{name}.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    areas = {"own": (0.6, 0.2), "random": (0.5, 0.4)}
    rows = [
        {"image_a": f"a{pair}", "image_b": "b", "method": method, "insertion_auc": up, "deletion_auc": down}
        for pair in range(3)
        for method, (up, down) in areas.items()
    ]
    write_table(folder / "faithfulness.parquet", table_from_rows(rows, FAITHFULNESS), FAITHFULNESS)
    curve = [(m, kind, share, 0.5) for m in areas for kind in ("insertion", "deletion") for share in (0.0, 0.5, 1.0)]
    _csv(folder / "curves.csv", [("method", "metric", "share", "mean_score"), *curve])
    _json(folder / "metrics.json", {"additivity_max_error": 1e-7, "num_pairs": 3})


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
