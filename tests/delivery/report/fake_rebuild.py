"""A small data folder as a rebuild leaves it, whole or in parts, for tests of the page."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.files import write_json
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.delivery.report.chapter import About, Provenance
from pipeline_lib.matching.regions.bootstrap import Uncertainty
from pipeline_lib.matching.regions.fits import RegionFit, write_region_fits
from pipeline_lib.matching.regions.weights import RegionWeights
from pipeline_lib.matching.verification.calibrated import RELIABILITY_COLUMNS
from pipeline_lib.matching.verification.region_table import REGION_COLUMNS
from pipeline_lib.networks.backbones.shared.build import network_spec
from pipeline_lib.params.load import read_yaml
from pipeline_lib.params.networks import Network
from pipeline_lib.params.whole import check_sections
from pipeline_lib.schemas.blurring import BLURRING
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.latency import LATENCY
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.maps import MAPS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.replacement import REPLACEMENT
from pipeline_lib.schemas.rerank_seconds import RERANK_SECONDS
from pipeline_lib.schemas.sanity import SANITY
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.schemas.templates import TEMPLATES
from pipeline_lib.why.faithfulness.decisions import SHARES

REPOSITORY = Path(__file__).parents[3]
HOSTILE = "<script>alert('x')</script>"
POSITIONS = ("p56_x0_y28", "p56_x28_y28")
SCORES = ("raw_pixel", "cosine:iresnet", "cosine_centred:iresnet", "cosine:rrfnet56", "regions:56")
EXPLANATIONS = {"rrfnet56_additive": "additive", "rrfnet56_random": "random"}
NUM_IDENTITIES, IMAGES_EACH = 4, 3

_LAYERS = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 128}
_TRAINED = {"checkpoint": "data/none", "teacher": "none", "epochs": 12}
_PATCHES = {"side_px": 56, "layout": "cross5", "mask_share": 0.4, "mask_mode": "zero"}
NETWORKS = {
    "iresnet": {**_LAYERS, **_TRAINED, "head": {"kind": "arcface", "scale": 32.0, "margin": 0.3}},
    "rrfnet56": {**_LAYERS, **_TRAINED, "patches": _PATCHES, "head": {"kind": "uniface", "scale": 16.0, "margin": 0.0}},
}
IMPORTED = {
    "arch": "mobilefacenet", "embedding_dim": 512, "epochs": 0, "head": {"kind": "none"}, "checkpoint": "published.ckpt",
    "teacher": "none",
}  # fmt: skip
_WEIGHTS = {
    "num_pairs": 40, "num_cross_validation_folds": 3, "strengths": [1.0], "num_bootstrap": 20, "seed": 0,
    "fit_on": ["train", "val"], "non_negative": [False],
}  # fmt: skip

OF_RERANK = {
    "kind": "emd", "network": "iresnet", "with": "none", "queries": "occluded", "centred": False, "index": "exact", "top_k": 8,
    "alpha": 0.7, "weights": "apc", "pool": 1, "regularisation": 0.05, "tolerance": 1e-4, "max_iterations": 1000,
}  # fmt: skip


def make_about(num_example_pairs: int = 3, **sections: object) -> About:
    """What the page needs beside the folder: the repository's params with this rebuild's parts, or `sections` in their place."""
    parts: dict[str, object] = {
        "networks": NETWORKS,
        "networks_over": {},
        "regions": {
            "network": NETWORKS["iresnet"], "alone": {}, "groups": {"p56": list(POSITIONS)}, "weights": {"logistic": _WEIGHTS}
        },
        "anchors": {},
        "scores": {"raw_pixel": {"kind": "raw_pixel", "of": "align"}, "cosine": {"kind": "cosine", "of": "embed"}},
        "galleries": {"iresnet": {"of": "networks"}},
        "rerank": {"apc": OF_RERANK},
        "explanations": {name: {"kind": kind, "network": "rrfnet56", "with": "none"} for name, kind in EXPLANATIONS.items()},
        "report": {"num_example_pairs": num_example_pairs},
    }  # fmt: skip
    params = check_sections({**read_yaml(REPOSITORY / "params.yaml"), **parts, **sections}, where="a test")
    provenance = Provenance({"Code": [("git commit", f"abc {HOSTILE}")]}, [])
    return About(params, f"key: {HOSTILE}", provenance)


def write_rebuild(data: Path, protocol: str = "synthetic") -> None:
    """Write everything the report reads; identities carry markup in their names, `protocol` is the test pairs' name."""
    images = write_photographs(data)
    write_verification(data, images, protocol)
    write_regions(data, protocol)
    write_reranking(data / "rerank" / "apc", images)
    for name in NETWORKS:
        write_network(data, name)
    write_training(data / "train_region" / "p56")
    for name in EXPLANATIONS:
        write_explanation(data / "explain" / name, name)
    write_registered(data, "cosine:rrfnet56")


def write_photographs(data: Path) -> list[tuple[str, str]]:
    """Manifest, rejects, aligned and occluded images; returns (image_id, identity) of each."""
    rng = np.random.default_rng(0)
    people = [f"{HOSTILE} {number}" for number in range(NUM_IDENTITIES)]
    images = [(f"id{i}_{k}", people[i]) for i in range(NUM_IDENTITIES) for k in range(IMAGES_EACH)]
    rows = [
        {
            "image_id": image_id, "identity": identity, "split": "test", "media": image_id, "uri": f"{identity}.png",
            "width": 250, "height": 250, "sha256": "0" * 64, "landmarks": None,
        }
        for image_id, identity in images
    ]  # fmt: skip
    write_table(data / "ingest" / "manifest.parquet", table_from_rows(rows, MANIFEST), MANIFEST)
    write_table(data / "ingest" / "templates.parquet", TEMPLATES.empty_table(), TEMPLATES)
    write_table(data / "ingest" / "rejects.parquet", table_from_rows([], REJECTS), REJECTS)
    write_json(data / "ingest" / "counts.json", {"num_overlaps_joined": 3, "num_overlaps_removed": 2, "num_copies": 1})
    reject = {"image_id": "x", "uri": HOSTILE, "stage": "align", "reason": "no_face", "detail": HOSTILE}
    write_table(data / "align" / "rejects.parquet", table_from_rows([reject, reject], REJECTS), REJECTS)
    _shards(data / "align", "aligned", images, "", rng)
    _shards(data / "occlude", "occluded", images, "+crop", rng)
    return images


def write_verification(
    data: Path, images: list[tuple[str, str]], protocol: str = "synthetic", scores: Sequence[str] = SCORES
) -> None:
    """data/verify with these scores, without a single region."""
    rng = np.random.default_rng(1)
    folder = data / "verify"
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
    for score in scores:
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
    metrics = {name: {score: dict(figures) for score in scores} for name in (protocol, "val")}
    for row in metrics.values():
        if "cosine:rrfnet56" in row:
            row["cosine:rrfnet56"] |= {"accuracy_mean": 0.954, "auc": 0.987, "tar@0.1": 0.9}
            row["cosine:rrfnet56"] |= {"auc_low": 0.951, "auc_high": 0.999, "tar@0.1_low": 0.81, "tar@0.1_high": 0.97}
    judged = {f"{name}_{kind}": 0.125 for name in ("cllr", "calibration_error") for kind in ("logistic", "isotonic")}
    for figures in metrics[protocol].values():
        figures |= {"min_cllr": 0.0625, **judged}
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
    _json(folder / "calibration.json", dict.fromkeys(scores, fitted))
    curve = [(name, score, far, far**0.3) for name in metrics for score in scores for far in (0.0, 0.1, 0.5, 1.0)]
    _csv(folder / "roc.csv", [("protocol", "score", "far", "tar"), *curve])
    _csv(folder / "regions.csv", [REGION_COLUMNS])
    bins = [
        (protocol, score, "logistic", *found) for score in scores for found in [(0.0, 0.1, 30, 1, 0.05, 0.03, 0.0, 0.2)]
    ]
    _csv(folder / "reliability.csv", [RELIABILITY_COLUMNS, *bins])


def write_regions(data: Path, protocol: str = "synthetic") -> None:
    """Table II in data/verify, and one fit of weights."""
    spread = Uncertainty(np.array([0.05, 0.3]), np.array([[0.6, 0.8], [-0.8, 0.4]]), 20, 0)
    fit = RegionFit(RegionWeights(list(POSITIONS), np.array([0.7, -0.2]), 0.1, 1.0, {1.0: 0.3}), spread)
    folder = data / "region_weights" / "logistic"
    write_region_fits(folder / "weights.json", {"56": fit})
    judged = {"held_out_auc": 0.875, "held_out_accuracy": 0.8, "num_negative": 1.0}
    _json(
        folder / "metrics.json",
        {"variant_train": {**judged, "chosen": 0.0}, "variant_val_non_negative": {**judged, "chosen": 1.0}},
    )
    (folder / "weight_map.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    kinds = {f"regions:{name}": "position" for name in POSITIONS}
    kinds |= {"regions:56": "combination", "cosine:iresnet": "network", "regions:56/train": "variant"}
    figures = (0.8125, 0.0125, 0.75, 0.3, 20, 20)
    rows = [(name, kind, score, *figures) for name in (protocol, "val") for score, kind in kinds.items()]
    _csv(data / "verify" / "regions.csv", [REGION_COLUMNS, *rows])


def write_reranking(folder: Path, images: list[tuple[str, str]]) -> None:
    """One entry of rerank: 12 queries of one kind, some of them put right and some spoilt."""
    rows, right = [], {"rank_cosine": 0, "rank_reranked": 0}
    for query, (image_id, identity) in enumerate(images):
        candidates = [other for other in images if other[0] != image_id][:8]
        for place, (other, who) in enumerate(candidates):
            ranks = {"rank_cosine": place + 1, "rank_reranked": (place + query) % 8 + 1}
            for name, rank in ranks.items():
                right[name] += rank == 1 and who == identity
            rows.append(
                {
                    "query_key": f"{image_id}+crop", "query_identity": identity, "kind": "crop",
                    "gallery_key": other, "genuine": who == identity,
                    "num_relevant": 2, **ranks, "cosine": 0.5, "compared": 0.5, "reranked": 0.5,
                }
            )  # fmt: skip
    write_table(folder / "ranks.parquet", table_from_rows(rows, RANKS), RANKS)
    before, after = (
        {name: {"value": value, "low": 0.1, "high": 0.9} for name, value in figures.items()}
        for figures in ({"p_at_1": count / 12, "rp": 0.4, "map_at_r": 0.3} for count in right.values())
    )
    bound = {name: {"value": 1.0, "low": 1.0, "high": 1.0} for name in before}
    change = {
        name: {"value": after[name]["value"] - before[name]["value"], "low": -0.1, "high": 0.2} for name in before
    }
    row = {"cosine": before, "reranked": after, "bound": bound, "change": change, "num_queries": 12}
    row |= {"num_left_out": 0, "num_not_converged": 0, "num_nothing_carried": 0}
    _json(
        folder / "metrics.json",
        {"crop": row, "all": row, "entry": OF_RERANK, "search": {"index": "ivf", "recall": 0.975}},
    )
    times = [
        {
            "query_key": f"{image_id}+crop",
            "query_identity": identity,
            "kind": "crop",
            "num_pairs": 8,
            "num_threads": 2,
            "seconds": 0.004,
        }
        for image_id, identity in images
    ]
    write_table(folder / "seconds.parquet", table_from_rows(times, RERANK_SECONDS), RERANK_SECONDS)


def write_network(data: Path, name: str, section: dict[str, object] | None = None, group: str = "") -> None:
    """A network's description and what its training noted; one without epochs was imported."""
    section = section or NETWORKS[name]
    spec = network_spec(Network.model_validate(section), where="a test").to_json()
    _json(data / f"networks{group}" / name / "network.json", {"format": 2, "spec": spec, "code": "0" * 64})
    write_training(data / f"train{group}" / name, trained=bool(section["epochs"]))


def write_training(folder: Path, trained: bool = True) -> None:
    """A training's history and figures."""
    folder.mkdir(parents=True)
    rows = [(step, step / 10, 5.0 / step, 0.1, 100.0) for step in (10, 20, 30)] if trained else []
    _csv(folder / "history.csv", [("step", "epoch", "loss", "learning_rate", "images_per_s"), *rows])
    figures: dict[str, object] = {"num_parameters": 12345, "num_steps": 0, "trained": trained}
    if trained:
        figures |= {"num_steps": 30, "num_images": 12, "num_identities": 4, "loss": 0.17, "images_per_s": 100.0}
    _json(folder / "metrics.json", figures)


def write_explanation(folder: Path, entry: str) -> None:
    """One entry of explanations: three genuine pairs and an impostor pair of two people."""
    for place, names in (("pictures", ("00_genuine", "01_impostor", "02_genuine")), ("gallery", ("gallery",))):
        (folder / place).mkdir(parents=True)
        for name in names:
            (folder / place / f"{name}.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    is_floor = entry.endswith("random")
    up, down = (0.5, 0.4) if is_floor else (0.6, 0.2)
    areas = {"insertion_auc": up, "deletion_auc": down, "insertion_grey_auc": 0.3, "deletion_blur_auc": 0.25}
    about = {"protocol": "synthetic", "method": entry, "genuine": True, "threshold": 0.4, "score": 0.5}
    costs = {"embedding_s": 0.02, "method_s": 0.001, "num_forward": 4, "num_backward": 0}
    measured = {**about, **areas, **costs, "same_position_share": None if is_floor else 0.75}
    people = [("p", "p"), ("q", "q"), ("q", "q"), ("p", "q")]
    rows = []
    for number, (a, b) in enumerate(people):
        map_a, map_b = np.random.default_rng(number + 10 * is_floor).normal(size=(2, 112 * 112)).astype(np.float32)
        who = {"image_a": f"a{number}", "image_b": f"b{number}", "identity": a, "identity_a": a, "identity_b": b}
        scores = [0.5 if number == 0 or (number == 3 and share < 0.1) else 0.3 for share in SHARES]
        sanity = {"layers": ["fc", "conv1"], "correlations": [0.9, 1.0 if is_floor else 0.25]}
        own = {"map_a": map_a, "map_b": map_b, "shares": SHARES, "scores": scores, **sanity}
        rows.append({**measured, **who, **own, "genuine": a == b})
    for name, schema, kept in (
        ("faithfulness", FAITHFULNESS, rows[:3]), ("blurring", BLURRING, rows), ("latency", LATENCY, rows),
        ("sanity", SANITY, rows[:1]),
    ):  # fmt: skip
        table = table_from_rows([{key: row[key] for key in schema.names} for row in kept], schema)
        write_table(folder / f"{name}.parquet", table, schema)
    drawn = ("00_genuine", None, "02_genuine", "01_impostor")
    maps = [
        {key: row.get(key) for key in MAPS.names} | {"picture": name} for row, name in zip(rows, drawn, strict=True)
    ]
    with pa.ipc.new_file(folder / "maps.arrow", MAPS) as file:
        file.write_table(table_from_rows(maps, MAPS))
    curve = [
        (entry, "synthetic", kind, share, 0.5, 0.4, 0.6)
        for kind in ("insertion", "deletion", "insertion_grey", "deletion_blur")
        for share in (0.0, 0.5, 1.0)
    ]
    _csv(folder / "curves.csv", [("method", "protocol", "metric", "share", "mean_score", "low", "high"), *curve])
    sum_error = {} if is_floor else {"additivity_max_error": 1e-7}
    figures = {"num_pairs": 3, "sanity_unchanged": float(is_floor), **sum_error}
    _json(folder / "metrics.json", {**figures, **write_replacement(folder, entry)})


def write_replacement(folder: Path, entry: str, protocol: str = "synthetic") -> dict[str, float]:
    """The patch benchmark of one entry, and its part of metrics.json; the random map is the slower."""
    turn = 12 if entry.endswith("random") else 4
    rows = [
        {
            "protocol": protocol, "image_a": f"{person}a", "image_b": f"{person}{genuine}", "identity_a": f"{HOSTILE} {person}",
            "identity_b": f"{HOSTILE} {person if genuine else (person + 1) % 9}", "genuine": genuine, "method": entry,
            "stranger": None, "threshold": 0.5, "clean_score": 0.9,
            "scores": [0.5 + (-0.1 if (step < turn + person % 2) == genuine else 0.1) for step in range(21)],
        }
        for person in range(9)
        for genuine in (True, False)
    ]  # fmt: skip
    write_table(folder / "replacement.parquet", table_from_rows(rows, REPLACEMENT), REPLACEMENT)
    (folder / "replacement").mkdir()
    for pair in ("00_genuine_00", "00_genuine_01", "00_genuine_02", "00_impostor_00"):
        for what in ("patches", "steps"):
            (folder / "replacement" / f"{pair}_{what}.png").write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8)))
    figures = {"eer": 0.05, "fmr": 1.0, "fnmr": 1.0, "num_genuine": 9, "num_impostor": 9}
    return {f"patches/{protocol}/{name}": value for name, value in figures.items()}


def write_registered(data: Path, score: str | None, note: str = "", threshold: float = 0.5) -> None:
    """registered.json of the model that decides by `score`; None: nothing is registered."""
    fitted = {"threshold": threshold, "num_pairs": 7030, "protocol": "LFW, CFP"}
    registered: dict[str, object] = {
        "name": "face-verifier",
        "version": None if score is None else 1,
        "aliases": [] if score is None else ["champion", "challenger"],
        "reason": f"there was no champion {HOSTILE}",
        "metric": None if score is None else {"score": score},
        "calibration": None if score is None else fitted,
        "note": note,
    }
    _json(data / "register" / "registered.json", registered)


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


def _json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
