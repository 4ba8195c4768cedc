"""Patch-wise EMD of a query and 100 candidates on one core, against the form of public code and against POT; and on a GPU.

    python -m benchmarks.emd                                    drawn maps alone
    python -m benchmarks.emd --maps data/gallery/dlib_resnet    those of galleries (embed_gallery), too, and a whole gallery
    python -m benchmarks.emd --quick                            few repeats

All three are given the same patches of unit length and their unit mean, and take cosines, weights and transport from
there, in turns, each repeat on other images. Times are the process's own on the core: other jobs on the machine do not count.
The public form (METHODS, section 7) is batched: it stops all 100 pairs as soon as the mean change of their row scalings falls
under 0.1. `left` is the mean marginal error that it stops with; ours stops each pair at `tolerance`, POT all of them. `off` is
the largest difference of ours from a solution in float64, on ten pairs, and `public off` that of the public form.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import on_cores, paired_ratio, report, seconds
from pipeline_lib.matching.emd import similarities as emd
from pipeline_lib.matching.emd.patches import Floats, UnitPatches, pool_grid, unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.matching.emd.weights import raw_weights
from pipeline_lib.matching.rerankers.emd import Emd, Settings
from pipeline_lib.matching.retrieval.search import search
from pipeline_lib.matching.retrieval.stored_faces import stored_faces
from pipeline_lib.matching.retrieval.two_stage import compare_candidates
from pipeline_lib.networks.embeddings.store import StoredPatches, read_embeddings

NUM_CANDIDATES = 100
NUM_IMAGES = 600  # of a gallery, from which candidates are drawn
MEAN_CHANGE = 0.1
POOLS_OF_PAIRS = 16  # pairs measured on a GPU, in pools
WHOLE = 13_000  # images of the gallery and queries that a sample is extrapolated to


def batched(query: UnitPatches, candidates: UnitPatches, kind: str) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines and weights of all pairs; a little is added to weights, as in public code, lest all of an image be 0."""
    num = len(candidates.unit)
    asked = UnitPatches(query.unit.expand(num, -1, -1), query.mean.expand(num, -1))
    u, v = (raw + 1e-5 for raw in raw_weights(kind, asked, candidates))
    cosines = torch.bmm(asked.unit, candidates.unit.transpose(1, 2))
    return cosines, u / u.sum(dim=1, keepdim=True), v / v.sum(dim=1, keepdim=True)


def public_form(query: UnitPatches, candidates: UnitPatches, kind: str) -> tuple[Tensor, float]:
    """Similarities (P,), and the mean marginal error that they were left with."""
    cosines, u, v = batched(query, candidates, kind)
    kernel = torch.exp((cosines - 1) / 0.05)
    turned = kernel.transpose(1, 2).contiguous()
    r, c, change = torch.ones_like(u), torch.ones_like(v), 1.0
    while change >= MEAN_CHANGE:
        before = r
        r = u / torch.bmm(kernel, c[:, :, None])[:, :, 0]
        c = v / torch.bmm(turned, r[:, :, None])[:, :, 0]
        change = (r - before).abs().mean().item()
    plan = r[:, :, None] * kernel * c[:, None, :]
    left = (plan.sum(dim=2) - u).abs().sum(dim=1) + (plan.sum(dim=1) - v).abs().sum(dim=1)
    return (plan * cosines).sum(dim=(1, 2)), left.mean().item()


def by_pot(query: UnitPatches, candidates: UnitPatches, kind: str, tolerance: float, method: str) -> Tensor:
    """Similarities (P,) by POT's batched solver, on logarithms (its choice) or on the kernel (its fastest)."""
    from ot.batch import solve_batch

    cosines, u, v = batched(query, candidates, kind)
    solved = solve_batch(1 - cosines, reg=0.05, a=u, b=v, tol=tolerance, max_iter=1000, method=method, grad="detach")
    return 1 - solved.value_linear


def race(maps: Floats, kind: str, tolerance: float, num_repeats: int, with_pot: bool) -> dict[str, object]:
    """A row: each repeat is another image and 100 others."""
    rng = np.random.default_rng(0)
    settings, faces = Sinkhorn(tolerance=tolerance), unit_patches(maps)
    pairs = np.stack([np.zeros(NUM_CANDIDATES, np.int64), np.arange(NUM_CANDIDATES)], axis=1)
    times: dict[str, list[float]] = {"ours": [], "public": [], "pot": [], "pot, kernel": []}
    left, off, public_off = 0.0, 0.0, 0.0
    for repeat in range(-1, num_repeats):  # the first warms up
        rows = torch.from_numpy(rng.permutation(len(maps))[: NUM_CANDIDATES + 1])
        query, candidates = faces.take(rows[:1]), faces.take(rows[1:])
        runs: dict[str, Callable[[], object]] = {
            "ours": lambda: emd_similarities(query, candidates, pairs, kind, settings, skip_weightless=True),  # noqa: B023
            "public": lambda: public_form(query, candidates, kind),  # noqa: B023
        }
        if with_pot:
            runs["pot"] = lambda: by_pot(query, candidates, kind, tolerance, "log_sinkhorn")  # noqa: B023
            runs["pot, kernel"] = lambda: by_pot(query, candidates, kind, tolerance, "sinkhorn")  # noqa: B023
        for name in rng.permutation(list(runs)):
            started = time.process_time()
            runs[name]()
            if repeat >= 0:
                times[name].append(time.process_time() - started)
        if repeat == 0:
            some, exact = pairs[:10], Sinkhorn(tolerance=1e-6, max_iterations=20_000)
            with mock.patch.object(emd, "MIN_KERNEL_REGULARISATION", 1.0):  # float64, on logarithms
                truth, _ = emd_similarities(query, candidates, some, kind, exact, skip_weightless=True)
            found, _ = emd_similarities(query, candidates, some, kind, settings, skip_weightless=True)
            similarities, left = public_form(query, candidates, kind)
            off, public_off = (float(np.nanmax(np.abs(each[:10] - truth))) for each in (found, similarities.numpy()))
    row: dict[str, object] = {"weights": kind, "tolerance": tolerance}
    row |= {f"{name}, ms": 1e3 * median(values) for name, values in times.items() if values}
    ratio = paired_ratio(times["ours"], times["public"])
    row |= {"ours over public": ratio["median"], "spread": f"{ratio['min']:.2f} to {ratio['max']:.2f}"}
    for name in ("pot", "pot, kernel"):
        row[f"{name} over ours"] = paired_ratio(times[name], times["ours"])["median"] if with_pot else float("nan")
    return row | {"left": left, "off": off, "public off": public_off}


def drawn_maps(rng: np.random.Generator, num_cells: int, common: float) -> Floats:
    """Noise of 512 values around a part that each place has in all images; 0: none, which gives cosines near 0."""
    places = common * (rng.normal(size=(1, num_cells, 512)) + 1)
    return (places + 0.7 * rng.normal(size=(2 * NUM_CANDIDATES, num_cells, 512))).astype(np.float32)


def stored_maps(folder: Path) -> dict[str, Floats]:
    """Maps of images of a gallery, as they are and averaged 2x2."""
    stored = StoredPatches(folder)
    rows = np.sort(np.random.default_rng(0).permutation(len(stored))[:NUM_IMAGES]).astype(np.int64)
    maps = stored.read(rows)
    assert stored.grid is not None
    return {folder.name: maps, f"{folder.name}, pooled": pool_grid(maps, stored.grid)}


def whole_gallery(folder: Path, num_queries: int) -> dict[str, object]:
    """A row: images of a gallery asked for their own people's others among all of it, by two threads, and 13,000 of 13,000."""
    store = read_embeddings(folder)
    keys = [key for key, kind in zip(store.keys, store.kinds, strict=True) if not kind]
    gallery, queries = stored_faces(store, folder, keys), stored_faces(store, folder, keys[:num_queries])
    candidates, _ = search(queries.vectors, gallery.vectors, NUM_CANDIDATES)
    reranker = Emd(Settings(weights="apc", pool=1, regularisation=0.05, tolerance=1e-4, max_iterations=1000))
    torch.set_num_threads(2)
    taken = seconds(lambda: compare_candidates(queries, gallery, candidates, reranker))
    torch.set_num_threads(1)
    figures = {"queries": num_queries, "pairs/s": num_queries * NUM_CANDIDATES / taken}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "gallery": folder.name,
        "images": len(keys),
        **figures,
        "13,000, s": WHOLE * taken / num_queries,
        "GiB": peak,
    }


def on_a_gpu(pools: list[int]) -> list[dict[str, object]]:
    """A row for each number of pairs in work at once."""
    rng = np.random.default_rng(0)
    faces = unit_patches(drawn_maps(rng, 49, 1.0))
    there, num_faces = faces.to(torch.device("cuda")), len(faces.unit)
    order = rng.permutation(num_faces**2).astype(np.int64)
    pairs = np.stack(np.divmod(order, num_faces), axis=1)
    rows: list[dict[str, object]] = []
    for pool in pools:
        num = min(len(pairs), POOLS_OF_PAIRS * pool)
        with mock.patch.object(emd, "POOL", pool):
            emd_similarities(there, there, pairs[:pool], "apc", Sinkhorn())
            taken = seconds(lambda: emd_similarities(there, there, pairs[:num], "apc", Sinkhorn()))  # noqa: B023
            found, _ = emd_similarities(there, there, pairs[:2000], "apc", Sinkhorn())
        expected, _ = emd_similarities(faces, faces, pairs[:2000], "apc", Sinkhorn())
        rows.append({"pool": pool, "pairs/s": num / taken, "difference": float(np.abs(found - expected).max())})
    return rows


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Patch-wise EMD against the public form and POT, and on a GPU.")
    parser.add_argument("--maps", type=Path, nargs="+", default=[], help="galleries whose maps are compared, too")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--queries", type=int, default=200, help="of the sample of a whole gallery")
    parser.add_argument("--pools", type=int, nargs="+", default=[64, 256, 1024, 4096], help="on the GPU")
    parser.add_argument("--quick", action="store_true", help="2 repeats, two kinds of drawn maps")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    maps = {
        "drawn, 7x6": drawn_maps(rng, 42, 0.0),
        "drawn, 4x3": drawn_maps(rng, 12, 0.0),
        "drawn with a common part, 7x6": drawn_maps(rng, 42, 1.0),
        "drawn with a common part, 4x3": drawn_maps(rng, 12, 1.0),
    }
    if args.quick:
        args.repeats, args.pools = 2, [64, 256]
        maps = dict(list(maps.items())[1:3])
    for folder in args.maps:
        maps |= stored_maps(folder)
    torch.set_num_threads(1)
    with on_cores(1):
        rows = [
            {"maps": name, "cells": values.shape[1]} | race(values, kind, tolerance, args.repeats, not args.quick)
            for name, values in maps.items()
            for kind in ("uniform", "apc")
            for tolerance in (1e-3, 1e-4)
        ]
    galleries = [whole_gallery(folder, args.queries) for folder in args.maps]
    on_gpu = on_a_gpu(args.pools) if torch.cuda.is_available() else []
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    config = {"candidates": NUM_CANDIDATES, "repeats": args.repeats, "drawn values": 512}
    report("emd", config, rows, galleries=galleries, on_gpu=on_gpu, gpu=gpu)


if __name__ == "__main__":
    main()
