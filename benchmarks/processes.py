"""Two gloo processes on two cores against one process on one core: images a second with the same global batch.

    python -m benchmarks.processes            IResNet-18 at width 1, batch 32, and the demo's network, batch 64
    python -m benchmarks.processes --quick    the demo's network, within seconds

Each process has one thread, one loader thread, and a core that both share. The worlds take turns; each is forked from
this process, which has paid for the imports, and runs the engine's train_networks on the same drawn faces in the same
micro-batches, so both do the same arithmetic (train.micro_batch_size). The speed is what the engine logs, without the
first row, in which memory is fresh.
"""

import argparse
import json
import os
import socket
import tempfile
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.common import NETWORKS, on_cores, paired_ratio, report, spread, train_settings, write_faces
from pipeline_lib.backbones.build import build_network
from pipeline_lib.core.world import process_group
from pipeline_lib.training.loop import train_networks
from pipeline_lib.training.sources import training_faces
from pipeline_lib.training.trainee import new_trainee

BATCH_SIZES = {"iresnet18": 32, "demo": 64}
WORLDS = (1, 2)


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
    settings = train_settings(
        batch_size,
        micro_batch_size=batch_size // max(WORLDS),
        epochs=-(-(num_steps + 1) // steps_per_epoch),
    )
    with process_group() as world:
        trainee = new_trainee(build_network(NETWORKS[name]), settings, len(dataset.classes))
        history = train_networks({name: trainee}, dataset, settings, world, folder / "resume", lambda row, step: None)
        seconds = sum(batch_size / row["images_per_s"] for row in history[1:])
        if world.is_main:
            (folder / "speed.json").write_text(json.dumps(batch_size * len(history[1:]) / seconds))


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
    report("processes", {"steps": args.steps, "repeats": args.repeats, "load": os.getloadavg()[0]}, rows)


if __name__ == "__main__":
    main()
