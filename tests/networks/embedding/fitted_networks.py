"""Small networks whose features differ from image to image, and shard sets of drawn images, for tests of embedding."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.networks.backbones import bagnet, dlib_resnet, iresnet, mobilefacenet, vit
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.networks import Patches
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 16}
CROSS, FINE = Patches(side_px=56, layout="cross5"), Patches(side_px=28, layout="no_corners33")
SPECS: dict[str, NetworkSpec] = {
    "iresnet": iresnet.Spec(**SMALL),
    "rrfnet56": iresnet.Spec(**SMALL, patches=CROSS),
    "rrfnet28": iresnet.Spec(**SMALL, patches=FINE),
    "mobilefacenet": mobilefacenet.Spec(embedding_dim=128),
}
OTHERS: dict[str, NetworkSpec] = {
    "rrfnet28 of mobilefacenet": mobilefacenet.Spec(embedding_dim=16, patches=FINE),
    "bagnet17": bagnet.Spec(field_px=17, **SMALL),
    "bagnet33": bagnet.Spec(field_px=33, **SMALL),
    "vit": vit.Spec(depth=2, heads=2, token_px=14, width=0.125, embedding_dim=16),
    "dlib_resnet": dlib_resnet.Spec(published=False),
    "deep iresnet": iresnet.Spec(blocks=(3, 4, 6, 3), width=0.25, embedding_dim=16),
}


def network(spec: NetworkSpec, seed: int = 0) -> FaceNetwork:
    """A network of random weights, its normalisation fitted to noise, so that its features differ from image to image."""
    torch.manual_seed(seed)
    model = build_network(spec, seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.rand(8, 3, spec.input_px, spec.input_px) * 2 - 1)
    return model.eval()


def pictures(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, 112, 112, 3), dtype=np.uint8)


def write_set(
    folder: Path, keys: Sequence[str], splits: Sequence[str], images_a_person: int = 3, images: np.ndarray | None = None
) -> np.ndarray:
    """A shard set of drawn images or of `images`, `images_a_person` in a row of one identity; returns the images."""
    images = pictures(len(keys), seed=1) if images is None else images
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", "aligned", 5) as writer:
        for place, (key, split) in enumerate(zip(keys, splits, strict=True)):
            who = {"image_id": key.split("+")[0], "identity": f"id{place // images_a_person:02d}", "split": split}
            writer.write(key, {"png": encode_png(images[place])}, **who, landmarks=np.zeros((5, 2)), score=1.0)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)
    return images


def write_pairs(path: Path, pairs: Sequence[tuple[str, str, str]]) -> None:
    """A table of pairs (protocol, image_a, image_b)."""
    rows: list[dict[str, object]] = [
        {"protocol": protocol, "fold": 0, "image_a": a, "image_b": b, "genuine": True} for protocol, a, b in pairs
    ]
    write_table(path, table_from_rows(rows, PAIRS), PAIRS)
