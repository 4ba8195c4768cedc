"""A small data folder by hand: aligned images, embeddings, pairs, regions with their weights, anchors."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE, Anchors, write_anchors
from pipeline_lib.matching.dam.lid import LID_FOLDER, fit_lid, write_lid
from pipeline_lib.matching.regions.bootstrap import Uncertainty
from pipeline_lib.matching.regions.fits import RegionFit, write_region_fits
from pipeline_lib.matching.regions.variants import VariantFit, write_variants
from pipeline_lib.matching.regions.weights import RegionWeights
from pipeline_lib.matching.scores.shared.columns import open_entry, scored_columns
from pipeline_lib.matching.scores.shared.reads import reads_below
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.params.anchors import Lid
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

NUM = 8  # images im0.. of identities id0, id0, id1, id1, ...
PAIR_ROWS = [
    ("lfw", 0, 0, 1),
    ("lfw", 0, 0, 2),
    ("lfw", 1, 4, 5),
    ("lfw", 1, 4, 7),
    ("val", 0, 2, 3),
    ("val", 0, 2, 6),
    ("val", 1, 6, 7),
    ("val", 1, 3, 7),
]
POSITIONS = {"p56": ["p56_x0_y28"], "p28_x14_y0": ["p28_x14_y0"]}  # by folder
STATE = "digest"  # of the networks' weights
LID = Lid(hidden_dim=8, num_steps=20, batch_size=8, learning_rate=1e-3, decay_steps=[])


def images(seed: int = 0) -> list[np.ndarray]:
    """Noise; im1 is im0 but brighter, im2 its negative."""
    rng = np.random.default_rng(seed)
    made = [rng.integers(0, 200, (112, 112, 3), dtype=np.uint8) for _ in range(NUM)]
    made[1], made[2] = made[0] + 50, 255 - made[0]
    return made


def write_aligned(folder: Path, pictures: list[np.ndarray], identities: list[str] | None = None) -> None:
    """Aligned images im0.. and their index."""
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", "aligned", 3) as writer:
        for i, picture in enumerate(pictures):
            identity = f"id{i // 2}" if identities is None else identities[i]
            about = {"image_id": f"im{i}", "identity": identity, "split": "test", "score": 1.0}
            members = {"png": encode_png(picture), "json": b"{}"}
            writer.write(f"im{i}", members, landmarks=np.zeros((5, 2), np.float32), **about)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)


def embedded(vectors: np.ndarray) -> EmbeddingSet:
    """Images im0.. in the test split, with these vectors."""
    names = [f"im{i}" for i in range(len(vectors))]
    identities = [f"id{i // 2}" for i in range(len(vectors))]
    plain = ["test"] * len(vectors), [None] * len(vectors)
    return EmbeddingSet(names, names, identities, *plain, vectors.astype(np.float32), None, [])


def write_vectors(folder: Path, vectors: np.ndarray) -> None:
    """An embedding set without patches, of a network in state STATE."""
    write_embeddings(folder, embedded(vectors), STATE)


def pair_table(rows: list[tuple[str, int, int, int]]) -> pa.Table:
    """Pairs of images, genuine where both are of one identity."""
    keys = ("protocol", "fold", "image_a", "image_b", "genuine")
    named = [(p, f, f"im{a}", f"im{b}", a // 2 == b // 2) for p, f, a, b in rows]
    return table_from_rows([dict(zip(keys, row, strict=True)) for row in named], PAIRS)


def region_fit(**weights: float) -> RegionFit:
    """Weights by position, whose uncertainty nobody asks for."""
    values = np.array(list(weights.values()))
    spread = Uncertainty(np.ones(len(values)), np.zeros((len(values), 2)), 2, 0)
    return RegionFit(RegionWeights(list(weights), values, 0.5, 1.0, {1.0: 0.1}), spread)


def write_data(data: Path) -> Path:
    """Everything that scores can read, below `data`."""
    rng = np.random.default_rng(1)
    write_aligned(data / "align", images())
    write_table(data / "ingest/pairs.parquet", pair_table(PAIR_ROWS), PAIRS)
    for name, dim in (("net", 6), ("other", 4)):
        write_vectors(data / "embed" / name, rng.normal(size=(NUM, dim)))
    (data / "embed/.gitkeep").touch()
    for folder, names in POSITIONS.items():
        patches = rng.normal(size=(NUM, len(names), 5)).astype(np.float32)
        boxes = [[int(part[1:]) for part in name.split("_")] for name in names]
        grid = np.array([(x, y, size, size) for size, x, y in boxes], np.int64)
        plain = embedded(np.zeros((NUM, 0)))
        write_embeddings(
            data / "region_embeddings" / folder,
            dataclasses.replace(plain, patches=patches, patch_keys=plain.keys, grid=grid),
        )
    fits = {
        "28": region_fit(p28_x14_y0=2.0),
        "56": region_fit(p56_x0_y28=0.5),
        "28_56": region_fit(p56_x0_y28=3.0, p28_x14_y0=-1.0),
    }
    write_region_fits(data / "region_weights/logistic/weights.json", fits)
    write_variants(data / "region_weights/logistic/variants.json", {"train": VariantFit(fits["28_56"].weights, {})})
    vectors = unit(rng.normal(size=(6, 6)))
    names = [f"t{i}" for i in range(6)], [f"train{i}" for i in range(6)]
    write_anchors(data / "anchors/real" / ANCHORS_FILE, Anchors(*names, vectors, "net", 1.0, 3, "real", STATE))
    write_lid(data / "anchors/real" / LID_FOLDER, fit_lid(vectors, np.linspace(1, 2, 6), 1.0, 3, LID, seed=0))
    return data


ENTRIES = {
    "raw_pixel": {"kind": "raw_pixel", "of": "align", "with": "none"},
    "cosine": {"kind": "cosine", "of": "embed", "with": "none"},
    "cosine_centred": {"kind": "cosine_centred", "of": "embed", "with": "none"},
    "regions": {"kind": "regions", "of": "region_embeddings", "with": "region_weights/logistic"},
    "dam": {"kind": "dam", "of": "embed/net", "with": "anchors/real"},
}


def opened(data: Path, name: str, **changed: object) -> dict[str, Scorer]:
    """An entry's scorers."""
    entry = Score.model_validate({**ENTRIES[name], **changed})
    return open_entry(name, entry, reads_below(data, entry))


def scored(data: Path, name: str, **changed: object) -> dict[str, Floats]:
    """An entry's columns on all pairs."""
    entry = Score.model_validate({**ENTRIES[name], **changed})
    reads = reads_below(data, entry)
    return scored_columns(open_entry(name, entry, reads), reads)
