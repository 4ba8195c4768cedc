"""All pairs of 10,000 faces by cosine and by DAM, with the curve and TARs down to a FAR of 1e-6.

    python -m benchmarks.all_pairs            50 million pairs twice, 512-d, G from 50,000 anchors, on two cores
    python -m benchmarks.all_pairs --quick    500 faces, one core

`s` is the whole: for DAM the search of the anchors too. `GiB` is the process's peak after each. Target: both together within 60 s
and 3 GiB.
"""

import argparse
import resource
import time

import faiss
import numpy as np
import torch

from benchmarks.common import on_cores, report
from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.matching.verification.all_pairs import cosine_blocks, count_all_pairs, dam_blocks, tars

DIM, IMAGES_EACH, NUM_NEIGHBOURS, SCALE = 512, 10, 10, 1.0
COSINE = 0.2  # of two faces of one person; that of two people is 0, with a spread of 1/sqrt(512)
RATES = (1e-3, 1e-4, 1e-5, 1e-6)


def made_faces(num: int, rng: np.random.Generator) -> tuple[Floats, np.ndarray]:
    """Unit vectors (num, 512) of people with ten images each, and whose each is."""
    owners = np.arange(num) // IMAGES_EACH
    people = rng.normal(size=(owners[-1] + 1, DIM))
    noise = np.sqrt(1 / COSINE - 1) * rng.normal(size=(num, DIM))
    return unit(people[owners] + noise), owners.astype(np.int64)


def measure(num: int, num_anchors: int) -> list[dict[str, object]]:
    """A row a score."""
    rng = np.random.default_rng(0)
    (vectors, owners), anchors = made_faces(num, rng), unit(rng.normal(size=(num_anchors, DIM)))
    rows: list[dict[str, object]] = []
    for score in ("cosine", "DAM-R"):
        started = time.perf_counter()
        if score == "cosine":
            blocks = cosine_blocks(vectors)
        else:
            blocks = dam_blocks(vectors, log_lid(nearest_cosines(vectors, anchors, NUM_NEIGHBOURS), SCALE), SCALE)
        found = count_all_pairs(blocks, owners, max(RATES))
        far, _ = found.curve()
        taken = time.perf_counter() - started
        figures = {"pairs": found.num_impostor + len(found.genuine), "s": taken, **tars(found, RATES)}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append({"score": score, **figures, "points": len(far), "GiB": peak})
    return rows


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="All pairs of many faces.")
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--anchors", type=int, default=50_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="500 faces, 1,000 anchors, one core")
    args = parser.parse_args()
    if args.quick:
        args.faces, args.anchors, args.cores = 500, 1_000, 1
    torch.set_num_threads(args.cores)
    faiss.omp_set_num_threads(args.cores)
    with on_cores(args.cores):
        rows = measure(args.faces, args.anchors)
    report("all_pairs", vars(args), rows, total_s=sum(float(str(row["s"])) for row in rows))


if __name__ == "__main__":
    main()
