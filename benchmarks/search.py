"""Stage 1 of identification in a large gallery: all of it, or by an index that looks at a part.

    python -m benchmarks.search            1,000,000 images of 50,000 people, 128 values each, 1,000 queries
    python -m benchmarks.search --quick    5,000 images

Made vectors: a person's images lie around a direction of their own, at cosines of `COSINE` to each other. `build` is what each
stage run pays once, `search` the queries' first 100, in seconds and in seconds of a core, which a busy
machine changes less; `recall` is the share of the exact first 100 among them, `person` that of the person's other images, which
lie nearest.
"""

import argparse
import time

import faiss
import numpy as np
import torch

from benchmarks.common import on_cores, report
from pipeline_lib.core.cosine import unit
from pipeline_lib.matching.retrieval.approximate import BUILDERS, build_index, find, recall
from pipeline_lib.matching.retrieval.search import search

DIM, IMAGES_EACH, TOP_K, COSINE = 128, 20, 100, 0.5


def made_faces(num_images: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (num_images, DIM), unit length, IMAGES_EACH of a person in a row."""
    people = rng.standard_normal((num_images // IMAGES_EACH, DIM), np.float32)
    noise = rng.standard_normal((num_images, DIM), np.float32)
    return unit(np.repeat(people, IMAGES_EACH, axis=0) + np.sqrt(1 / COSINE - 1, dtype=np.float32) * noise)


def measure(num_images: int, num_queries: int) -> list[dict[str, object]]:
    """A row each index."""
    rng = np.random.default_rng(0)
    gallery = made_faces(num_images, rng)
    own = np.sort(rng.choice(num_images, num_queries, replace=False)).astype(np.int64)
    queries = gallery[own]
    search(queries[:2], gallery[:200], 2)
    rows: list[dict[str, object]] = []
    for index in ("exact", *BUILDERS):
        started = time.process_time(), time.perf_counter()
        built = None if index == "exact" else build_index(index, gallery, TOP_K + 1)  # type: ignore[arg-type]
        ready = time.process_time(), time.perf_counter()
        answer = search(queries, gallery, TOP_K, own) if built is None else find(built, queries, gallery, TOP_K, own)
        done = time.process_time(), time.perf_counter()
        same = (answer[0] // IMAGES_EACH == own[:, None] // IMAGES_EACH).sum(axis=1) / (IMAGES_EACH - 1)
        times = {
            name: after[clock] - before[clock]
            for clock, unit_ in enumerate(("core s", "s"))
            for name, before, after in ((f"build, {unit_}", started, ready), (f"search, {unit_}", ready, done))
        }
        figures = {"recall": recall(answer[0], queries, gallery, own), "person": float(same.mean())}
        rows.append({"index": index, **times, **figures})
    return rows


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Exact and approximate search of a large gallery.")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="5,000 images, 50 queries, one core")
    args = parser.parse_args()
    if args.quick:
        args.images, args.queries, args.cores = 5_000, 50, 1
    torch.set_num_threads(args.cores)
    faiss.omp_set_num_threads(args.cores)
    with on_cores(args.cores):
        rows = measure(args.images, args.queries)
    report("search", vars(args), rows)


if __name__ == "__main__":
    main()
