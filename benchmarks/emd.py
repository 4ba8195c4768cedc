"""Patch-wise EMD of many pairs of faces: on one core, and on a CUDA device where there is one, by the pairs in work at once.

    python -m benchmarks.emd            49 patches of 512 values a face (IResNet's last map), pools of 64 to 4096 on CUDA
    python -m benchmarks.emd --quick    a tenth of it

emd_similarities keeps emd.POOL pairs in work. 64 fit a core's cache; a GPU wants many more. Features are noise around a
common part, which gives the cosines of real maps and as many iterations. `difference` is the largest from the CPU's
similarities, over the pairs that both computed.
"""

import argparse
from unittest import mock

import numpy as np
import torch

from benchmarks.common import on_cores, report, seconds
from pipeline_lib.matching.emd import sinkhorn as emd
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn, UnitPatches, emd_similarities, unit_patches

NUM_FACES, NUM_PATCHES, NUM_VALUES = 200, 49, 512
POOLS_OF_PAIRS = 16  # pairs measured on a GPU, in pools


def drawn_faces(rng: np.random.Generator, common: np.ndarray) -> UnitPatches:
    """Patches (NUM_FACES,NUM_PATCHES,NUM_VALUES)."""
    noise = rng.normal(size=(NUM_FACES, NUM_PATCHES, NUM_VALUES))
    return unit_patches((common + 0.7 * noise).astype(np.float32))


def measure(num_pairs: int, pools: list[int]) -> list[dict[str, object]]:
    """A row for the CPU, and one for each pool on the GPU."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(1, NUM_PATCHES, NUM_VALUES)) + 1
    a, b = drawn_faces(rng, common), drawn_faces(rng, common)
    order = rng.permutation(NUM_FACES**2).astype(np.int64)
    pairs = np.stack(np.divmod(order, NUM_FACES), axis=1)
    found = np.empty(0, np.float32)

    def solve(a: UnitPatches, b: UnitPatches, num: int) -> None:
        nonlocal found
        found, _ = emd_similarities(a, b, pairs[:num], "apc", Sinkhorn())

    with on_cores(1):
        solve(a, b, emd.POOL)
        taken = seconds(lambda: solve(a, b, num_pairs))
    expected = found
    core = {"device": "one core", "pool": emd.POOL, "pairs/s": num_pairs / taken, "difference": 0.0}
    rows: list[dict[str, object]] = [core]
    if torch.cuda.is_available():
        on_gpu = [UnitPatches(patches.unit.cuda(), patches.mean.cuda()) for patches in (a, b)]
        for pool in pools:
            num = min(len(pairs), POOLS_OF_PAIRS * pool)
            with mock.patch.object(emd, "POOL", pool):
                solve(*on_gpu, pool)
                taken = seconds(lambda: solve(*on_gpu, num))  # noqa: B023 (called at once)
            both = min(num, num_pairs)
            difference = float(np.abs(found[:both] - expected[:both]).max())
            rows.append({"device": "GPU", "pool": pool, "pairs/s": num / taken, "difference": difference})
    return rows


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Patch-wise EMD on a core and on a GPU.")
    parser.add_argument("--pairs", type=int, default=2000, help="measured on the core")
    parser.add_argument("--pools", type=int, nargs="+", default=[64, 256, 1024, 4096], help="on the GPU")
    parser.add_argument("--quick", action="store_true", help="200 pairs, pools of 64 and 256")
    args = parser.parse_args()
    if args.quick:
        args.pairs, args.pools = 200, [64, 256]
    torch.set_num_threads(1)
    rows = measure(args.pairs, args.pools)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    report("emd", {"pairs": args.pairs, "patches": NUM_PATCHES, "values": NUM_VALUES}, rows, gpu=gpu)


if __name__ == "__main__":
    main()
