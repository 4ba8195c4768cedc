"""A small rebuild: made faces, their occluded copies, two untrained networks and what they make of the faces."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

NUM_PEOPLE, NUM_PHOTOGRAPHS = 9, 12  # the first four people are for validation
PARAMS = {
    "embed": {"mirror": True},
    "explanations": {
        "own": {"kind": "additive", "network": "rrfnet56", "with": "none"},
        "floor": {"kind": "random", "network": "rrfnet56", "with": "none"},
        "gradients": {"kind": "xssab", "network": "iresnet", "with": "none"},
        "refused": {"kind": "additive", "network": "iresnet", "with": "none"},
        "none": {"kind": "random", "network": "iresnet", "with": "none"},
    },
}


def _write_images(folder: Path, images: dict[str, tuple[np.ndarray, dict[str, str]]]) -> None:
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", "set", 1000) as writer:
        for key, (image, names) in images.items():
            writer.write(key, {"png": encode_png(image)}, landmarks=np.zeros((5, 2), np.float32), score=1.0, **names)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)


@pytest.fixture(scope="session")
def rebuild(tmp_path_factory, network_named) -> Path:
    """A working directory with params.yaml and data/; a person's photographs are noise around a colour field of its own."""
    root = tmp_path_factory.mktemp("rebuild")
    data, rng = root / "data", np.random.default_rng(0)
    clean, occluded, drawn = {}, {}, []
    for person in range(NUM_PEOPLE):
        field = rng.integers(0, 256, (7, 7, 3)).repeat(16, 0).repeat(16, 1)
        for number in range(NUM_PHOTOGRAPHS):
            key, split = f"smith{person}-n{number}", "val" if person < 4 else "test"
            image = np.clip(field + rng.normal(0, 60, field.shape), 0, 255).astype(np.uint8)
            names = {"image_id": key, "identity": f"smith{person}", "split": split}
            clean[key] = image, names
            for kind in ("mask_cloth", "sunglasses", "crop") if split == "test" and number < 8 else ():
                covered = image.copy()
                covered[(slice(64, 112) if kind == "mask_cloth" else slice(30, 60))] = 40
                occluded[f"{key}+{kind}"] = covered, names
                drawn.append({"key": f"{key}+{kind}", "image_id": key, "kind": kind, "purpose": "query", "drawn": "{}"})
    _write_images(data / "align", clean)
    _write_images(data / "occlude", occluded)
    write_table(data / "occlude" / "occlusions.parquet", table_from_rows(drawn, OCCLUSIONS), OCCLUSIONS)
    ids = list(clean)
    pairs = []
    for a in range(len(ids)):
        for b in (a + 1, a + 2, a + 30):
            first, second = clean[ids[a]][1], clean[ids[b % len(ids)]][1]
            if first["split"] == second["split"]:
                same = first["identity"] == second["identity"]
                row = {"image_a": first["image_id"], "image_b": second["image_id"], "genuine": same, "fold": 0}
                pairs.append(row | {"protocol": "val" if first["split"] == "val" else "made"})
    (data / "ingest").mkdir()
    write_table(data / "ingest" / "pairs.parquet", table_from_rows(pairs, PAIRS), PAIRS)
    images = ShardImages(data / "align")
    pixels = images.read(range(len(images)))
    for name in ("rrfnet56", "iresnet"):
        network = network_named(name)
        save_network(data / "networks" / name, network)
        vectors, _ = embed_images(network, pixels, True, 32, with_patches=False)
        columns = [list(column) for column in (images.keys, images.image_ids, images.identities, images.splits)]
        write_embeddings(data / "embed" / name, EmbeddingSet(*columns, [None] * len(images), vectors, None, []))
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return root
