"""Region networks trained together from one decoding against one after another from patch shards, on one core.

    python -m benchmarks.regions_together            28 regions of 28 px, widths 1/8 (the demo's) and 1
    python -m benchmarks.regions_together --quick    4 regions at width 1/8, within seconds

`apart` trains one region's network after another, each from the region's patch shards (stage train_region); `together`
trains all of them from one decoding of the aligned faces, small ones computed as one (stage train_regions), which gives
the same weights up to the order of sums; `decoding` is the second without the first: each network computed alone. Timed
is the training itself: neither processes nor networks are started inside. The three take turns on the same samples in the
same order.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest import mock

import torch

from benchmarks.common import HEAD, MACHINE, on_cores, paired_ratio, report, seconds, train_settings, write_faces
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.core.parallel import Workers
from pipeline_lib.core.world import World
from pipeline_lib.data.patches.grid import Region, unique_regions
from pipeline_lib.data.patches.patch_set import write_patch_sets
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.training import side_by_side
from pipeline_lib.networks.training.labelled_images import training_faces, training_regions
from pipeline_lib.networks.training.loop import train_networks
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.shards import Shards

SIZE_PX, MARGIN_PX, BATCH_SIZE = 28, 5, 16
NUM_IDENTITIES = 16
SETTINGS = train_settings(BATCH_SIZE)
ONE = World(0, 0, 1, torch.device("cpu"))


def fresh_trainees(regions: list[Region], width: float) -> dict[str, Trainee]:
    """A network and head for each region, as the demo's regions.network but for the width."""
    spec = iresnet.Spec(blocks=(1, 1, 1, 1), width=width, embedding_dim=64, input_px=SIZE_PX)
    return {region.name: new_trainee(build_network(spec), HEAD, SETTINGS, NUM_IDENTITIES) for region in regions}


def train_apart(folder: Path, regions: list[Region], trainees: dict[str, Trainee]) -> None:
    """One region after another, each decoding its own patches."""
    for region in regions:
        dataset = training_regions(folder / "patches" / region.name, region, MARGIN_PX)
        one = {region.name: trainees[region.name]}
        train_networks(one, dataset, SETTINGS, 1, MACHINE, ONE, folder / "resume", lambda row, step: None)


def train_together(folder: Path, regions: list[Region], trainees: dict[str, Trainee]) -> None:
    """All regions at once, from one decoding."""
    dataset = training_faces(folder / "align", None, regions)
    train_networks(trainees, dataset, SETTINGS, 1, MACHINE, ONE, folder / "resume", lambda row, step: None)


def train_from_one_decoding(folder: Path, regions: list[Region], trainees: dict[str, Trainee]) -> None:
    """All regions at once, each network computed alone."""
    with mock.patch.dict(side_by_side.VALUES_AT_ONCE, cpu=0):
        train_together(folder, regions, trainees)


CONTENDERS: dict[str, Callable[[Path, list[Region], dict[str, Trainee]], None]] = {
    "apart": train_apart,
    "together": train_together,
    "decoding": train_from_one_decoding,
}


def measure(width: float, regions: list[Region], num_steps: int, repeats: int) -> dict[str, object]:
    """The contenders in turn, after a turn that does not count; one row of the table."""
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder / "align", num_steps * BATCH_SIZE, NUM_IDENTITIES)
        write_patch_sets(folder / "align", folder / "patches", regions, MARGIN_PX, Shards(), Workers(0))
        for _ in range(repeats + 1):
            for contender, train in CONTENDERS.items():
                trainees = fresh_trainees(regions, width)
                times[contender].append(seconds(lambda: train(folder, regions, trainees)))  # noqa: B023 (called at once)
    counted = {contender: values[1:] for contender, values in times.items()}
    together = paired_ratio(counted["together"], counted["apart"])
    decoding = paired_ratio(counted["decoding"], counted["apart"])
    return {
        "width": width,
        "regions": len(regions),
        "steps": num_steps,
        **{f"{contender}, s": median(values) for contender, values in counted.items()},
        "together/apart": together["median"],
        "decoding/apart": decoding["median"],
        "ratios": {"together/apart": together, "decoding/apart": decoding},
    }


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Region networks trained together against one after another.")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 1.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 1], help="of each network, one number a width")
    parser.add_argument("--regions", type=int, default=28, help="how many of the 28")
    parser.add_argument("--repeats", type=int, default=2, help="timed turns")
    parser.add_argument("--quick", action="store_true", help="4 regions at width 1/8, 2 steps, 1 repeat")
    args = parser.parse_args()
    if args.quick:
        args.widths, args.steps, args.regions, args.repeats = [0.125], [2], 4, 1
    if len(args.widths) != len(args.steps):
        parser.error("--steps takes as many numbers as --widths")
    torch.set_num_threads(1)
    keep_freed_memory()  # as the training loop does, here before the prototype too
    regions = unique_regions(SIZE_PX)[: args.regions]
    with on_cores(1):
        rows = [
            measure(width, regions, num_steps, args.repeats)
            for width, num_steps in zip(args.widths, args.steps, strict=True)
        ]
    report("regions_together", {"repeats": args.repeats, "batch": BATCH_SIZE, "load": os.getloadavg()[0]}, rows)


if __name__ == "__main__":
    main()
