"""Full training steps on one CPU core against the speed of a matrix product measured in the same run.

    python -m benchmarks.train_step            IResNet-18 on whole faces, RRFNet-28 and RRFNet-56 at width 1
    python -m benchmarks.train_step --quick    the demo's narrow network alone, within seconds

A step is the engine's: next batch of decoded PNG shards, forward, backward, clipping, fused SGD, in float32. This process
and its loader thread share one core, so decoding costs what it costs; a step and a product of two 3000x3000 matrices
take turns. `share` is FLOP/s of the steps over FLOP/s of the product (common.step_flops says what counts), `wait` the
share of the time that a step waits for its batch, `data` the loader thread's work over the step's time. One more step
under torch.profiler gives where the time goes; it is not timed.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import (
    HEAD,
    NETWORKS,
    RATE,
    on_cores,
    report,
    seconds,
    spread,
    step_flops,
    train_settings,
    write_faces,
)
from pipeline_lib.core.ahead import load_ahead
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.core.world import World
from pipeline_lib.data.shards.plan import epoch_plan
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.training.data import Batch, TrainingSet, load_batch
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import new_trainee

BATCH_SIZES = {"iresnet18": 16, "rrfnet28": 4, "rrfnet56": 8, "demo": 16}
MATRIX = 3000
ONE = World(0, 0, 1, torch.device("cpu"))
GROUPS = {  # how the names of a group's operations begin
    "convolution": ("aten::mkldnn_convolution", "aten::convolution", "aten::mm", "aten::addmm"),
    "normalisation": ("aten::native_batch_norm",),
    "activation": ("_ChunkedPReLU", "aten::_prelu_kernel"),
    "optimiser": ("Optimizer.", "aten::linalg_vector_norm", "aten::_foreach"),
}


class Steps:
    """The training steps of one network, and how long its loader works."""

    def __init__(self, name: str, dataset: TrainingSet, batch_size: int, num_steps: int) -> None:
        self.settings = train_settings(batch_size)
        network = build_network(NETWORKS[name])
        self.learner = Learner(
            {"it": new_trainee(network, HEAD, self.settings, len(dataset.classes))}, self.settings, ONE
        )
        self.dataset, self.num_steps = dataset, num_steps
        self.loading_s = 0.0

    def batches(self) -> Iterator[Batch]:
        """Batches of the engine's plan, loaded by its loader."""
        settings, draw_kept = self.settings, self.learner.model.network.draw

        def load(item: tuple[int, Any]) -> Batch:
            started = time.thread_time()
            epoch, samples = item
            batch = load_batch(self.dataset, samples, settings.shift_px, settings.seed, epoch, draw_kept, False)
            self.loading_s += time.thread_time() - started
            return batch

        epochs = range(self.num_steps)  # at least one step each
        plans = ((epoch, epoch_plan(len(self.dataset), 1, 0, settings.batch_size, 0, epoch)) for epoch in epochs)
        return load_ahead(load, ((epoch, samples) for epoch, plan in plans for samples in plan), 1)

    def take(self, batch: Batch) -> None:
        """One step."""
        self.learner.take_step(micro_batches(batch, [0], self.settings.batch_size, ONE.device), RATE)


def matrix_product() -> Callable[[], object]:
    """A product of two square matrices."""
    a, b = torch.randn(2, MATRIX, MATRIX).unbind()
    out = torch.empty(MATRIX, MATRIX)
    return lambda: torch.mm(a, b, out=out)


def measure(name: str, dataset: TrainingSet, batch_size: int, repeats: int) -> dict[str, object]:
    """Steps and matrix products in turn; one row of the table."""
    steps, product = Steps(name, dataset, batch_size, repeats + 4), matrix_product()
    with contextlib.closing(steps.batches()) as batches:
        flops = step_flops(steps.learner, micro_batches(next(batches), [0], batch_size, ONE.device))  # and warm up
        seconds(product)
        loading_before, times, waits, products = steps.loading_s, [], [], []
        for _ in range(repeats):
            time.sleep(0.05)  # the loader falls silent: nothing but the product is timed then
            products.append(seconds(product))
            started = time.perf_counter()
            batch = next(batches)
            waits.append(time.perf_counter() - started)
            steps.take(batch)
            times.append(time.perf_counter() - started)
        loading_s = (steps.loading_s - loading_before) / repeats
        shares = time_shares(steps, next(batches))
    peak = [2 * MATRIX**3 / product_s for product_s in products]
    achieved = [flops / step_s for step_s in times]
    return {
        "network": name,
        "batch": batch_size,
        "images/s": batch_size / median(times),
        "GFLOP/step": flops / 1e9,
        "GFLOP/s": median(achieved) / 1e9,
        "product": median(peak) / 1e9,
        "share": median(a / p for a, p in zip(achieved, peak, strict=True)),
        "wait": sum(waits) / sum(times),
        "data": loading_s / median(times),
        **shares,
        "step_s": spread(times),
    }


def time_shares(steps: Steps, batch: Batch) -> dict[str, float]:
    """Where one step's time goes: shares of its wall time by group; `other` is the rest, Python's own included."""
    steps.take(batch)  # a step right before, as in training
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        wall_s = seconds(lambda: steps.take(batch))
    spent: Counter[str] = Counter()
    for event in profiled.events():
        spent[group(event)] += event.self_cpu_time_total / 1e6
    shares = {name: spent[name] / wall_s for name in GROUPS}
    return {**shares, "other": 1 - sum(shares.values())}


def group(event: Any) -> str:
    """The group of a profiled operation: the innermost of itself and those around it that belongs to one."""
    while event is not None:
        for name, beginnings in GROUPS.items():
            if event.name.startswith(beginnings):
                return name
        event = event.cpu_parent
    return "other"


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Training steps on one core against a matrix product.")
    parser.add_argument(
        "--networks", nargs="+", choices=list(BATCH_SIZES), default=["iresnet18", "rrfnet28", "rrfnet56"]
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each network")
    parser.add_argument("--quick", action="store_true", help="the demo's network, 3 repeats")
    args = parser.parse_args()
    if args.quick:
        args.networks, args.repeats = ["demo"], 3
    torch.set_num_threads(1)
    keep_freed_memory()  # as the training loop does
    with tempfile.TemporaryDirectory() as folder, on_cores(1):
        write_faces(Path(folder), num_images=64, num_identities=16)
        dataset = training_faces(Path(folder), None)
        rows = [measure(name, dataset, BATCH_SIZES[name], args.repeats) for name in args.networks]
    report("train_step", {"repeats": args.repeats, "cores": 1, "load": os.getloadavg()[0]}, rows)


if __name__ == "__main__":
    main()
