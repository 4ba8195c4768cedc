"""Two gloo processes on two cores against one process on one core: images a second with the same global batch.

    python -m benchmarks.processes            IResNet-18 at width 1 and the demo's network, batch 64
    python -m benchmarks.processes --quick    the demo's network, within seconds

Each process has one thread, one loader thread, and a core that both share. The worlds take turns; each is forked from
this process, which has paid for the imports, and runs the engine's train_networks on the same drawn faces in the same
micro-batches, so both do the same arithmetic (train.micro_batch_size). The speed is what the engine logs, without the
first row, in which memory is fresh.

What two cores of the machine can be to one is measured beside it, without the engine: two processes that share nothing, of
matrix products (cores alone) and of passes over more memory than the cache holds (the memory they share).
"""

import argparse
import json
import os
import socket
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch

from benchmarks.common import (
    HEAD,
    MACHINE,
    NETWORKS,
    on_cores,
    paired_ratio,
    report,
    spread,
    train_settings,
    write_faces,
)
from pipeline_lib.core.world import process_group
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.loop import train_networks
from pipeline_lib.networks.training.trainee import new_trainee

BATCH_SIZES = {"iresnet18": 64, "demo": 64}
MICRO_BATCH_SIZES = {"iresnet18": 16, "demo": 32}
WORLDS = (1, 2)
PRODUCT_SIZE = 2000
MEMORY_VALUES = 16_000_000  # float32: 64 MB, more than the caches of two cores


def images_per_s(name: str, size: int, aligned: Path, num_steps: int, port: int) -> float:
    """The speed of one world: all its ranks are forks of this process, and wait for each other."""
    with tempfile.TemporaryDirectory() as folder, on_cores(size):
        args = [(name, rank, size, aligned, num_steps, Path(folder), port) for rank in range(size)]
        ranks = [get_context("fork").Process(target=train, args=each) for each in args]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        if any(process.exitcode for process in ranks):
            raise SystemExit(f"the ranks ended with {[process.exitcode for process in ranks]}")
        return float(json.loads(Path(folder, "speed.json").read_text()))


def train(name: str, rank: int, size: int, aligned: Path, num_steps: int, folder: Path, port: int) -> None:
    """One rank, on its own core, where torchrun would have set the variables; rank 0 writes the speed."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank]})
    batch_size, dataset = BATCH_SIZES[name], training_faces(aligned, None)
    steps_per_epoch = -(-len(dataset) // batch_size)
    settings = train_settings(batch_size, micro_batch_size=MICRO_BATCH_SIZES[name])
    epochs = -(-(num_steps + 1) // steps_per_epoch)
    with process_group() as world:
        trainee = new_trainee(build_network(NETWORKS[name]), HEAD, settings, len(dataset.classes))
        history = train_networks(
            {name: trainee}, dataset, settings, epochs, MACHINE, world, folder / "resume", lambda row, step: None
        )
        seconds = sum(batch_size / row["images_per_s"] for row in history[1:])
        if world.is_main:
            (folder / "speed.json").write_text(json.dumps(batch_size * len(history[1:]) / seconds))


def multiply() -> Callable[[], object]:
    """A matrix product, which the cores' arithmetic bounds."""
    a, b, out = (torch.rand(PRODUCT_SIZE, PRODUCT_SIZE) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def pass_over() -> Callable[[], object]:
    """One pass over memory, as normalisation and activations make, which the memory bounds."""
    values = torch.rand(MEMORY_VALUES)
    return lambda: values.mul_(1.0)


def runs_per_s(build: Callable[[], Callable[[], object]], size: int, duration_s: float) -> float:
    """Calls a second of `size` processes together, each on a core of its own."""

    def work(core: int) -> None:
        os.sched_setaffinity(0, {core})
        run, num_runs = build(), 0
        run()
        started = time.perf_counter()
        while (spent := time.perf_counter() - started) < duration_s:
            run()
            num_runs += 1
        speeds.put(num_runs / spent)

    context = get_context("fork")
    speeds: SimpleQueue[float] = context.SimpleQueue()
    processes = [context.Process(target=work, args=(core,)) for core in sorted(os.sched_getaffinity(0))[:size]]
    for process in processes:
        process.start()
    total = sum(speeds.get() for _ in processes)
    for process in processes:
        process.join()
    return total


def measure_machine(repeats: int, duration_s: float) -> dict[str, dict[str, float]]:
    """Two processes over one, of products and of passes over memory."""
    ratios = {}
    for name, build in (("products", multiply), ("memory", pass_over)):
        speeds = {size: list[float]() for size in WORLDS}
        for _ in range(repeats):
            for size in WORLDS:
                speeds[size].append(runs_per_s(build, size, duration_s))
        ratios[name] = paired_ratio(speeds[2], speeds[1])
    return ratios


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def measure(name: str, aligned: Path, num_steps: int, repeats: int) -> dict[str, object]:
    """Worlds of one and two in turn; one row of the table."""
    speeds: dict[int, list[float]] = {size: [] for size in WORLDS}
    for _ in range(repeats):
        for size in WORLDS:
            speeds[size].append(images_per_s(name, size, aligned, num_steps, free_port()))
    one, two = (speeds[size] for size in WORLDS)
    ratio = paired_ratio(two, one)
    return {
        "network": name,
        "batch": BATCH_SIZES[name],
        "one process, images/s": spread(one)["median"],
        "two": spread(two)["median"],
        "two over one": ratio["median"],
        "ratio": ratio,
    }


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Two processes on two cores against one on one.")
    parser.add_argument("--networks", nargs="+", choices=list(BATCH_SIZES), default=list(BATCH_SIZES))
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a world, at least")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each world")
    parser.add_argument("--quick", action="store_true", help="the demo's network, 2 steps, 1 repeat")
    args = parser.parse_args()
    if args.quick:
        args.networks, args.steps, args.repeats = ["demo"], 2, 1
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_faces(Path(folder), num_images=128, num_identities=16)
        rows = [measure(name, Path(folder), args.steps, args.repeats) for name in args.networks]
    machine = measure_machine(args.repeats, duration_s=0.2 if args.quick else 2.0)
    shares = ", ".join(f"{name} {ratio['median']:.2f}" for name, ratio in machine.items())
    print(f"two processes that share nothing but the machine, over one: {shares}")
    report(
        "processes", {"steps": args.steps, "repeats": args.repeats, "load": os.getloadavg()[0]}, rows, machine=machine
    )


if __name__ == "__main__":
    main()
