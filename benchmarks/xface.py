"""xFace's maps of a pair on one core: computed here, against a plain loop, and against whole faces in batches.

    python -m benchmarks.xface            IResNet-18, the demo's IResNet, and the RRFNets of its shape
    python -m benchmarks.xface --quick    the demo's IResNet and RRFNet-28, few squares

`plain`: what one would write first: contiguous tensors, batches of 32 clones, every normalisation a layer of its own,
all in inference mode. `whole`: whole occluded faces, as any black box gets them, through the network as the stage
explain has it: channels_last, normalisations folded, one array for all batches. `ours`: only what a square changes. The
three take turns; a mask is one square over one face.
"""

import argparse
import copy
from collections.abc import Callable
from statistics import median
from unittest import mock

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.common import NETWORKS, on_cores, paired_ratio, report, seconds
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.params.networks import Patches
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.occluded_patches import touched
from pipeline_lib.why.explanation.shared.occluders import BLACK, Floats, Squares, occluders
from pipeline_lib.why.explanation.xface import xface_maps

VARIANT = 2
PLAIN_BATCH, OUR_BATCH = 32, 64  # ours: images_per_batch of machine.yaml
DEMO = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 128}
SPECS = {
    "iresnet18": NETWORKS["iresnet18"],
    "demo": NETWORKS["demo"],
    "demo rrfnet56": iresnet.Spec(**DEMO, patches=Patches(side_px=56, layout="cross5")),
    "demo rrfnet28": iresnet.Spec(**DEMO, patches=Patches(side_px=28, layout="no_corners33")),
}
EVERY = {"iresnet18": 10}  # of a large network every tenth square is enough for a time


class BlackBox:
    """An embedder that shows nothing but its embeddings."""

    def __init__(self, embedder: Embedder) -> None:
        self.embed, self.images_per_batch = embedder, embedder.images_per_batch

    def __call__(self, images: Floats) -> Floats:
        """See Embedder."""
        return self.embed(images)


def network_of(spec: iresnet.Spec) -> FaceNetwork:
    """Drawn weights, and normalisation by the statistics of noise, without which all faces would have one embedding."""
    network = build_network(spec, 0).train()
    with torch.no_grad():
        network(torch.randn(8, 3, 112, 112, generator=torch.Generator().manual_seed(0)))
    return network.eval()


def faces() -> np.ndarray:
    """Two blurred drawings with grain, uint8 (2, 112, 112, 3)."""
    rng = np.random.default_rng(0)
    coarse = [cv2.resize(rng.uniform(0, 255, (14, 14, 3)), (112, 112)) for _ in range(2)]
    return np.clip(coarse + rng.normal(0, 10, (2, 112, 112, 3)), 0, 255).astype(np.uint8)


@torch.inference_mode()
def plain_maps(network: FaceNetwork, pair: EmbeddedPair, squares: Squares) -> Floats:
    """xFace with the clean partner, one mask after the other."""

    def embed(images: list[Tensor]) -> Tensor:
        return torch.nn.functional.normalize(network(torch.stack(images)))

    clean = [torch.from_numpy(np.ascontiguousarray(image)) for image in pair.inputs]
    units = [embed([image])[0] for image in clean]
    maps = []
    for image, partner in zip(clean, units[::-1], strict=True):
        sums, numbers = {}, {}
        for first in range(0, len(squares), PLAIN_BATCH):
            batch = squares[first : first + PLAIN_BATCH].tolist()
            images = [image.clone() for _ in batch]
            for covered, (x, y, w, h) in zip(images, batch, strict=True):
                covered[:, y : y + h, x : x + w] = BLACK
            growths = (units[0] @ units[1] - embed(images) @ partner).tolist()
            for growth, (x, y, w, h) in zip(growths, batch, strict=True):
                of_size = sums.setdefault(w, np.zeros((112, 112)))
                of_size[y : y + h, x : x + w] += growth / w**2
                numbers[w] = numbers.get(w, 0) + 1
        found = np.mean([cv2.GaussianBlur(sums[w] / numbers[w], (5, 5), 5) for w in sums], axis=0)
        maps.append(found / np.abs(found).max())
    return np.array(maps, np.float32)


def measure(name: str, every: int, repeats: int) -> dict[str, object]:
    """The three in turn; one row of the table."""
    network, squares = network_of(SPECS[name]), occluders()[::every]
    contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    embedder = Embedder(folded(network), mirror=False, images_per_batch=OUR_BATCH)
    pair = embedder.pair(faces(), with_patches=False)
    box = BlackBox(embedder)

    def plain() -> Floats:
        with mock.patch.object(iresnet, "channels_last", Tensor.contiguous):
            return plain_maps(contiguous, pair, squares)

    ways: dict[str, Callable[[], Floats]] = {
        "plain": plain,
        "whole": lambda: xface_maps(box, pair, VARIANT, squares),  # type: ignore[arg-type]
        "ours": lambda: xface_maps(embedder, pair, VARIANT, squares),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    maps: dict[str, Floats] = {}
    for _ in range(repeats):
        for way, run in ways.items():
            times[way].append(seconds(lambda: maps.update({way: run()})))  # noqa: B023 (called at once)
    over = {f"{way} over ours": paired_ratio(times[way], times["ours"]) for way in ("plain", "whole")}
    inside = embedder.network
    share = (
        len(touched(inside.grid, squares)) / (len(squares) * len(inside.grid)) if isinstance(inside, RRFNet) else 1.0
    )
    return {
        "network": name,
        "squares": len(squares),
        **{f"{way}, masks/s": 2 * len(squares) / median(values) for way, values in times.items()},
        **{ratio: found["median"] for ratio, found in over.items()},
        "patches computed": share,
        "difference": float(max(np.abs(maps["ours"] - maps[way]).max() for way in ("plain", "whole"))),
        "ratios": over,
    }


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="xFace's maps against a plain loop.")
    parser.add_argument("--networks", nargs="+", choices=SPECS, default=list(SPECS))
    parser.add_argument("--every", type=int, help="of the squares; every one but for IResNet-18")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="two small networks, every 40th square, once")
    args = parser.parse_args()
    if args.quick:
        args.networks, args.every, args.repeats = ["demo", "demo rrfnet28"], 40, 1
    torch.set_num_threads(1)
    keep_freed_memory()  # as every stage does
    with on_cores(1):
        rows = [measure(name, args.every or EVERY.get(name, 1), args.repeats) for name in args.networks]
    config = {"variant": VARIANT, "batch": OUR_BATCH, "plain batch": PLAIN_BATCH, "repeats": args.repeats}
    report("xface", config, rows)


if __name__ == "__main__":
    main()
