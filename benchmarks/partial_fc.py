"""PartialFC against the whole softmax head with SGD: memory and time of a step on one rank's share of the classes.

    python -m benchmarks.partial_fc            1,000,000 classes x 512, rank 0 of 8, 10 % sampled, global batch 64
    python -m benchmarks.partial_fc --quick    the same in small, within seconds

One process plays rank 0: it holds that rank's classes, and the gathered batch is drawn as it is. Labels are drawn from
its own classes, since no other rank is there for the rest, so it samples all positives where a real rank has one in
`ranks`. Nothing is sent, so the time is that of the arithmetic. Memory is the growth of the process's peak resident size
over what it was before the head was built, through two steps. The heads take their timed steps in turn; the ratios
are the whole head's figures over each one's.
"""

import argparse
import gc
import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.common import report, spread
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.networks.heads import arcface
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.class_sample import class_range
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC

ARCFACE = arcface.Settings(scale=64.0, margin=0.5)
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 5e-4
Step = Callable[[Tensor, Tensor], None]


def partial_fc_step(num_local: int, dim: int, rate: float) -> Step:
    """A step of PartialFC on embeddings and labels."""
    head = PartialFC(ARCFACE, dim, num_local, rate)

    def step(embeddings: Tensor, labels: Tensor) -> None:
        head(embeddings, labels).backward()
        head.sgd_step(LEARNING_RATE, MOMENTUM, WEIGHT_DECAY)

    return step


def whole_head_step(num_local: int, dim: int) -> Step:
    """A step of the whole head with the training loop's optimiser."""
    head = build_head(ARCFACE, dim, num_local)
    optimiser = torch.optim.SGD(
        head.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True
    )

    def step(embeddings: Tensor, labels: Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        head(embeddings, labels).backward()
        optimiser.step()

    return step


def peak_growth_bytes(build: Callable[[], Step], batch: Callable[[], tuple[Tensor, Tensor]]) -> int:
    """Growth of the peak resident size from before `build` through two steps, the second of which has momentum."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew at the present size
    before = resident_bytes("VmRSS")
    step = build()
    for _ in range(2):
        step(*batch())
    return resident_bytes("VmHWM") - before


def resident_bytes(key: str) -> int:
    """VmRSS, the present resident size, or VmHWM, its peak."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def compare(args: argparse.Namespace) -> None:
    """Memory of each, then timed steps in turn; prints the report."""
    first, last = class_range(args.classes, 0, args.ranks)
    num_local = last - first
    generator = torch.Generator().manual_seed(0)

    def batch() -> tuple[Tensor, Tensor]:
        embeddings = torch.randn(args.batch, args.dim, generator=generator).requires_grad_()
        return embeddings, torch.randint(num_local, (args.batch,), generator=generator)

    builds: dict[str, Callable[[], Step]] = {
        "partial_fc": lambda: partial_fc_step(num_local, args.dim, args.rate),
        "whole_head": lambda: whole_head_step(num_local, args.dim),
    }
    # a small step first: what PyTorch imports and keeps at the first one is no part of either head's memory
    partial_fc_step(64, args.dim, 0.5)(torch.randn(4, args.dim).requires_grad_(), torch.arange(4))
    whole_head_step(64, args.dim)(torch.randn(4, args.dim).requires_grad_(), torch.arange(4))
    memory = {name: peak_growth_bytes(build, batch) for name, build in builds.items()}

    keep_freed_memory()  # as the training loop does; it favours the whole head, whose large tensors come and go
    steps = {name: build() for name, build in builds.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(args.steps + 1):
        for name, step in steps.items():
            inputs = batch()
            started = time.perf_counter()
            step(*inputs)
            if i > 0:  # the first touches fresh memory
                times[name].append(time.perf_counter() - started)
    medians = {name: median(values) for name, values in times.items()}
    shard_bytes = 4 * num_local * args.dim
    config = {name: getattr(args, name) for name in ("classes", "dim", "rate", "ranks", "batch", "steps")}
    rows: list[dict[str, object]] = [
        {
            "head": name,
            "memory, MiB": memory[name] / 2**20,
            "step, ms": 1e3 * medians[name],
            "memory ratio": memory["whole_head"] / memory[name],
            "step ratio": medians["whole_head"] / medians[name],
        }
        for name in steps
    ]
    report(
        "partial_fc",
        config,
        rows,
        local_classes=num_local,
        weight_and_momentum_bytes=2 * shard_bytes,
        peak_memory_bytes=memory,
        step_s={name: spread(values) for name, values in times.items()},
    )


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="PartialFC against the whole softmax head, one rank's share.")
    parser.add_argument("--classes", type=int, default=1_000_000, help="of all ranks together")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rate", type=float, default=0.1, help="share of the classes that is sampled")
    parser.add_argument("--ranks", type=int, default=8, help="one of them is measured")
    parser.add_argument("--batch", type=int, default=64, help="global batch")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each")
    parser.add_argument("--quick", action="store_true", help="200,000 classes and 3 steps")
    args = parser.parse_args()
    if args.quick:
        args.classes, args.steps = 200_000, 3
    compare(args)


if __name__ == "__main__":
    main()
