"""Training over frozen networks from cached maps against training from images, on one core.

    python -m benchmarks.cached_maps            fusion of dlib_resnet's 4x4 cells and MobileFaceNet's map
    python -m benchmarks.cached_maps --quick    a few images, one round

Both take batches of 32 of the same drawn faces, in turn; weights are drawn, for the time does not depend on them. `maps_s` is
what all maps take, once, of the images and mirrored ones; `wait` the share of a training's time in which it waits for data.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from statistics import median

import torch

from benchmarks.common import HEAD, MACHINE, on_cores, report, seconds, train_settings, write_faces
from pipeline_lib.core.world import current_world
from pipeline_lib.networks.backbones import dlib_resnet, mobilefacenet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over
from pipeline_lib.networks.over.fusion import Settings
from pipeline_lib.networks.over.shared.network import OverNetwork
from pipeline_lib.networks.training.cached_maps import mapped
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.fit import means_over_time
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.loop import Row, train_networks
from pipeline_lib.networks.training.trainee import new_trainee

NUM_PEOPLE, BATCH = 8, 32
TRAIN = train_settings(BATCH, shift_px=0)
MAP_EPOCHS = 8  # an epoch from maps is too short to time alone


def fused() -> OverNetwork:
    """A fusion over two networks, with drawn weights."""
    specs = {"dlib": dlib_resnet.Spec(cells=4, published=False), "mobile": mobilefacenet.Spec(embedding_dim=128)}
    frozen = {name: build_network(spec) for name, spec in specs.items()}
    network = build_over(Settings(over=("dlib", "mobile"), beta=1e-3), frozen)
    assert isinstance(network, OverNetwork)
    return network


def trained(dataset: TrainingSet, epochs: int, folder: Path) -> Row:
    """Speed and data wait of a training."""
    trainee = {"it": new_trainee(fused(), HEAD, TRAIN, NUM_PEOPLE)}
    world = current_world()
    history = train_networks(trainee, dataset, TRAIN, epochs, MACHINE, world, folder, lambda row, step: None)
    return means_over_time(history)


def race(num_images: int, rounds: int) -> dict[str, object]:
    """Medians over rounds, and what the maps take."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_faces(folder / "aligned", num_images, NUM_PEOPLE)
        faces, network, world = training_faces(folder / "aligned", None), fused(), current_world()
        once = seconds(lambda: mapped(faces, network, folder, world, 64))
        maps = mapped(faces, network, folder, world, 64)
        rows: dict[str, list[Row]] = {"images": [], "maps": []}
        for number in range(rounds):
            for name, dataset, epochs in (("images", faces, 1), ("maps", maps, MAP_EPOCHS)):
                anew = dataclasses.replace(dataset, digest=f"{number}")
                rows[name].append(trained(anew, epochs, folder / f"{name}{number}"))
    speed, wait = (
        {name: median(row[key] for row in found) for name, found in rows.items()}
        for key in ("images_per_s", "data_wait_share")
    )
    found: dict[str, object] = {"maps_s": once, "over images": speed["maps"] / speed["images"]}
    return {
        **{f"{name}, images/s": value for name, value in speed.items()},
        **{f"{name}, wait": value for name, value in wait.items()},
        **found,
    }


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Cached maps against images.")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 64 images")
    args = parser.parse_args()
    if args.quick:
        args.images, args.rounds = 64, 1
    torch.set_num_threads(1)
    with on_cores(1):
        rows = [race(args.images, args.rounds)]
    report("cached_maps", {"images": args.images, "batch": BATCH, "rounds": args.rounds}, rows)


if __name__ == "__main__":
    main()
