"""Re-ranking by Face-ViT against re-ranking by EMD, on the same maps: on one core, and on a CUDA device where there is one.

    python -m benchmarks.face_vit                         maps of dlib_resnet's shapes, 4x4 cells of 256 values and 8x8 of 128
    python -m benchmarks.face_vit --gallery data/gallery/dlib_resnet4     stored maps
    python -m benchmarks.face_vit --quick                 two rounds of a few pairs

Model H2L of depth 1, heads 2, with drawn weights: the time does not depend on them. Both re-rankers prepare every image once and
compare the same pairs, in turn; EMD at its default tolerance, and at 1e-3. `over EMD` is H2L's pairs a second over EMD's, a
median over rounds; the thesis claims 2. Drawn maps are noise around a common part, which gives the cosines of real ones.
"""

import argparse
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.common import on_cores, paired_ratio, report, seconds
from pipeline_lib.matching.rerankers import emd
from pipeline_lib.matching.rerankers.face_vit import FaceVit
from pipeline_lib.matching.rerankers.shared.reranker import PatchFaces, Reads, Reranker
from pipeline_lib.networks.embeddings.store import StoredPatches
from pipeline_lib.networks.over.face_vit import PairEncoder, Settings

SHAPES = ((16, 256), (64, 128))
NUM_QUERIES, TOP_K = 10, 100
TOLERANCES = (1e-3, 1e-4)


def drawn_maps(num: int, num_patches: int, channels: int) -> npt.NDArray[np.float32]:
    """(num,num_patches,channels)."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(1, num_patches, channels)) + 1
    return (common + 0.7 * rng.normal(size=(num, num_patches, channels))).astype(np.float32)


def stored_maps(gallery: Path, num: int) -> npt.NDArray[np.float32]:
    """The same of an embedding set, of images spread over it."""
    stored = StoredPatches(gallery)
    return stored.read(np.linspace(0, len(stored) - 1, num).astype(np.int64))


def rerankers(device: torch.device, num_patches: int, channels: int) -> dict[str, Reranker]:
    """EMD at both tolerances, and H2L."""
    reads = Reads(Path("drawn"), Path("data/none"), device)
    shared = {"weights": "uniform", "pool": 1, "regularisation": 0.05, "max_iterations": 1000}
    found: dict[str, Reranker] = {
        f"EMD {tolerance:g}": emd.open_reranker(emd.Settings(**shared, tolerance=tolerance), reads)
        for tolerance in TOLERANCES
    }
    torch.manual_seed(0)
    settings = Settings(over=("drawn",), depth=1, heads=2, embedding_dim=128)
    return found | {"H2L": FaceVit(PairEncoder(settings, num_patches, channels).eval().to(device))}


def race(maps: npt.NDArray[np.float32], device: torch.device, rounds: int) -> dict[str, object]:
    """Pairs a second of every query with its candidates, the rest of `maps`; medians over rounds."""
    num_patches, channels = maps.shape[1:]
    grid = np.zeros((num_patches, 4), np.int64)
    sides = [
        PatchFaces([f"im{i}" for i in range(len(side))], np.ones((len(side), 1), np.float32), side, grid)
        for side in (maps[:NUM_QUERIES], maps[NUM_QUERIES:])
    ]
    shape = NUM_QUERIES, len(maps) - NUM_QUERIES
    pairs = np.stack(np.unravel_index(np.arange(shape[0] * shape[1]), shape), axis=1).astype(np.int64)

    def run(reranker: Reranker) -> None:
        reranker.compare(reranker.prepare(sides[0], True), reranker.prepare(sides[1], False), pairs, str)

    competing = rerankers(device, num_patches, channels)
    for each in competing.values():
        run(each)
    taken: dict[str, list[float]] = {name: [] for name in competing}
    for _ in range(rounds):
        for name, each in competing.items():
            taken[name].append(seconds(lambda: run(each)))  # noqa: B023 (called at once)
    speeds = {name: len(pairs) / median(times) for name, times in taken.items()}
    ratios = {f"over {name}": paired_ratio(taken[name], taken["H2L"])["median"] for name in competing if name != "H2L"}
    return {"device": device.type, "cells": num_patches, "values": channels, **speeds, **ratios}


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Face-ViT against EMD.")
    parser.add_argument("--gallery", type=Path, help="an embedding set with patch features; drawn maps without it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds of 100 pairs")
    args = parser.parse_args()
    num = NUM_QUERIES + TOP_K
    if args.quick:
        num, args.rounds = 2 * NUM_QUERIES, 2
    torch.set_num_threads(1)
    all_maps = (
        [drawn_maps(num, *shape) for shape in SHAPES] if args.gallery is None else [stored_maps(args.gallery, num)]
    )
    devices = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
    rows = []
    for maps in all_maps:
        for device in devices:
            with on_cores(1):
                rows.append(race(maps, device, args.rounds))
    config = {"pairs": NUM_QUERIES * (num - NUM_QUERIES), "maps": str(args.gallery or "drawn"), "rounds": args.rounds}
    report("face_vit", config, rows, gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None)


if __name__ == "__main__":
    main()
