"""The training loader on one core against bare decoding, and against WebDataset with Pillow and a transform an image.

    python -m benchmarks.loader           512 drawn faces as PNG and as JPEG, nine turns; an order of 40 million samples
    python -m benchmarks.loader --quick   128 faces, two turns

`loader` is what training does: read through the index, decode, mirror, shift, stack; `kept` the same with all images in memory
already (kept_images_mib); `bare` decodes the same bytes, which are in memory, by the same library and does nothing else;
`webdataset` reads the tars in file order, decodes by Pillow, mirrors and shifts one image after the other, and stacks.
Ratios are of speeds, in process time, of turns that followed one another.
"""

import argparse
import itertools
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import torch
import webdataset

from benchmarks.common import on_cores, paired_ratio, report, spread, write_faces
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.data.shards.images import MEMBERS, PNG_START
from pipeline_lib.data.shards.plan import epoch_plan
from pipeline_lib.networks.training.data import TrainingSet, load_batch
from pipeline_lib.networks.training.labelled_images import training_faces

BATCH, SHIFT_PX = 64, 5
NUM_SAMPLES, NUM_RANKS = 40_000_000, 1024


def bare(data: list[bytes]) -> None:
    """Every image decoded."""
    for each in data:
        if each.startswith(PNG_START):
            cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR_RGB)
        else:
            simplejpeg.decode_jpeg(each, "RGB")


def loader(dataset: TrainingSet) -> None:
    """Every image of an epoch, in batches."""
    for samples in epoch_plan(len(dataset), 1, 0, BATCH, 0, 0):
        load_batch(dataset, samples, SHIFT_PX, 0, 0, lambda rng: None, False)


def one_by_one(shards: list[str]) -> None:
    """As a WebDataset pipeline is commonly written."""
    rng = np.random.default_rng(0)

    def transformed(image: Any) -> torch.Tensor:
        pixels = np.asarray(image.convert("RGB"))
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        x, y = rng.integers(0, 2 * SHIFT_PX + 1, 2)
        padded = np.pad(pixels, ((SHIFT_PX, SHIFT_PX), (SHIFT_PX, SHIFT_PX), (0, 0)), mode="edge")
        return torch.from_numpy(np.ascontiguousarray(padded[y : y + pixels.shape[0], x : x + pixels.shape[1]]))

    faces = webdataset.WebDataset(shards, shardshuffle=False).decode("pil").to_tuple("png;jpg").map_tuple(transformed)
    remaining = iter(faces)
    while batch := list(itertools.islice(remaining, BATCH)):
        torch.stack([image for (image,) in batch])


def measure(format: str, num_images: int, turns: int) -> tuple[dict[str, object], dict[str, object]]:
    """One row of the table, and the ratios with their spread."""
    with tempfile.TemporaryDirectory() as folder:
        write_faces(Path(folder), num_images, num_images // 8, format)
        dataset = training_faces(Path(folder), None)
        kept = replace(dataset, kept_bytes=2**40)
        data = dataset.readers[0].read_many(range(num_images))
        shards = sorted(map(str, (Path(folder) / "shards").glob("*.tar")))
        runs: dict[str, Callable[[], None]] = {
            "loader": lambda: loader(dataset),
            "kept": lambda: loader(kept),
            "bare": lambda: bare(data),
            "webdataset": lambda: one_by_one(shards),
        }
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(turns + 1):  # the first one warms up
            for name, run in runs.items():
                started = time.process_time()
                run()
                if turn:
                    taken[name].append(1e6 * (time.process_time() - started) / num_images)
    ratios = {
        "of bare": paired_ratio(taken["bare"], taken["loader"]),
        "of webdataset": paired_ratio(taken["webdataset"], taken["loader"]),
    }
    row: dict[str, object] = {"format": format, "kB": sum(map(len, data)) / num_images / 1000}
    row |= {f"{name} us": spread(times)["median"] for name, times in taken.items()}
    row |= {name: ratio["median"] for name, ratio in ratios.items()}
    return row, {format: ratios}


def plan() -> dict[str, float]:
    """Seconds and peak MB of one rank's part of an order, and of the whole order (a world of one)."""
    figures = {}
    for name, num_ranks in (("a rank", NUM_RANKS), ("world of one", 1)):
        tracemalloc.start()
        started = time.process_time()
        epoch_plan(NUM_SAMPLES, num_ranks, num_ranks - 1, 128, 0, 0)
        figures[f"{name}, s"] = time.process_time() - started
        figures[f"{name}, peak MB"] = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return figures


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="The training loader.")
    parser.add_argument("--quick", action="store_true", help="128 faces, two turns, no order")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed_memory()  # as training does
    num_images, turns = (128, 2) if args.quick else (512, 9)
    with on_cores(1):
        rows, ratios = zip(*(measure(format, num_images, turns) for format in MEMBERS), strict=True)
        order = {} if args.quick else plan()
    report("loader", {"images": num_images, "batch": BATCH}, list(rows), ratios=list(ratios), plan=order)


if __name__ == "__main__":
    main()
