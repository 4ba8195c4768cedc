"""Region networks computed as one against each alone: a step of all, on the GPU or, where there is none, on one core.

    python -m benchmarks.networks_as_one            8 networks of 28 px, blocks [1,1,1,1], batch 16, widths 1/8 and 1
    python -m benchmarks.networks_as_one --quick    2 networks at width 1/8, batch 8

Learner.take_step as training runs it, on one batch of random images that is on the device already; `alone` takes one step
of each network after the other, `as one` one step of all (StackedNetworks). Blocks of steps take turns.
"""

import argparse
import contextlib
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.common import HEAD, RATE, on_cores, paired_ratio, report, seconds, train_settings
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.training.learner import Learner, MicroBatch
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.train import Train

SIZE_PX, NUM_CLASSES = 28, 275


def fresh_trainees(num: int, width: float, settings: Train) -> dict[str, Trainee]:
    """Networks and heads by name, each with weights of its own."""
    spec = iresnet.Spec(blocks=(1, 1, 1, 1), width=width, embedding_dim=128, input_px=SIZE_PX)
    return {str(i): new_trainee(build_network(spec, i), HEAD, settings, NUM_CLASSES) for i in range(num)}


def measure(width: float, args: argparse.Namespace, device: torch.device) -> dict[str, object]:
    """Blocks of steps in turn, after one that does not count; one row of the table."""
    settings, world = train_settings(args.batch), World(0, 0, 1, device)
    shape = (args.batch, args.networks, SIZE_PX, SIZE_PX, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    labels = torch.randint(NUM_CLASSES, (args.batch,), device=device)
    together = Learner(fresh_trainees(args.networks, width, settings), settings, world)
    each = [
        (Learner({name: trainee}, settings, world), [MicroBatch(view.contiguous(), labels, None, None)])
        for (name, trainee), view in zip(
            fresh_trainees(args.networks, width, settings).items(), images.unbind(dim=1), strict=True
        )
    ]

    def alone() -> None:
        for learner, batches in each:
            learner.take_step(batches, RATE)

    def as_one() -> None:
        together.take_step([MicroBatch(images, labels, None, None)], RATE)

    def block(step: Callable[[], None]) -> None:
        for _ in range(args.steps):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    times: dict[str, list[float]] = {"alone": [], "as one": []}
    for _ in range(args.repeats + 1):
        for name, step in (("alone", alone), ("as one", as_one)):
            times[name].append(1000 * seconds(lambda: block(step)) / args.steps)  # noqa: B023 (called at once)
    counted = {name: values[1:] for name, values in times.items()}
    ratio = paired_ratio(counted["alone"], counted["as one"])
    return {
        "width": width,
        "networks": args.networks,
        **{f"{name}, ms a step": median(values) for name, values in counted.items()},
        "alone over as one": ratio["median"],
        "ratio": ratio,
    }


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Region networks computed as one against each alone.")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 1.0])
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2, help="of a block")
    parser.add_argument("--repeats", type=int, default=5, help="timed blocks of each")
    parser.add_argument("--quick", action="store_true", help="2 networks at width 1/8, batch 8, 1 repeat")
    args = parser.parse_args()
    if args.quick:
        args.widths, args.networks, args.batch, args.repeats = [0.125], 2, 8, 1
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", 0) if on_gpu else torch.device("cpu")
    torch.set_num_threads(1)
    keep_freed_memory()  # as the training loop does
    with contextlib.nullcontext() if on_gpu else on_cores(1):
        rows = [measure(width, args, device) for width in args.widths]
    config = {"px": SIZE_PX, "batch": args.batch, "steps": args.steps, "repeats": args.repeats}
    report("networks_as_one", config, rows, device=torch.cuda.get_device_name(device) if on_gpu else "one core")


if __name__ == "__main__":
    main()
