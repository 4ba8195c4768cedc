"""Region networks on one GPU: each computed alone against several computed as one, a step of all of them.

    python -m benchmarks.cuda_regions            8 networks of 28 px, blocks [1,1,1,1], batch 64, widths 1/8 and 1
    python -m benchmarks.cuda_regions --quick    2 networks at width 1/8, blocks of 2 steps

Learner.take_step as training runs it, on one batch of random images that is on the GPU already; `alone` takes one step of
each network after the other, `as one` one step of all (StackedNetworks). Blocks of steps take turns. Without a CUDA device
it says so and measures nothing.
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.common import RATE, paired_ratio, report, seconds, train_settings
from pipeline_lib.backbones.build import build_network
from pipeline_lib.backbones.spec import NetworkSpec
from pipeline_lib.core.world import World
from pipeline_lib.training.learner import Learner, MicroBatch
from pipeline_lib.training.trainee import Trainee, new_trainee

SIZE_PX, BATCH_SIZE, NUM_CLASSES = 28, 64, 275
SETTINGS = train_settings(BATCH_SIZE)


def fresh_trainees(num: int, width: float) -> dict[str, Trainee]:
    """Networks and heads by name, each with weights of its own."""
    spec = NetworkSpec("iresnet", (1, 1, 1, 1), width, 128, input_px=SIZE_PX)
    return {str(i): new_trainee(build_network(spec, i), SETTINGS, NUM_CLASSES) for i in range(num)}


def measure(width: float, args: argparse.Namespace, device: torch.device) -> dict[str, object]:
    """Blocks of steps in turn; one row of the table."""
    world = World(0, 0, 1, device)
    shape = (BATCH_SIZE, args.networks, SIZE_PX, SIZE_PX, 3)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    labels = torch.randint(NUM_CLASSES, (BATCH_SIZE,), device=device)
    each = [
        (Learner({name: trainee}, SETTINGS, world), [MicroBatch(view.contiguous(), labels, None, None)])
        for (name, trainee), view in zip(
            fresh_trainees(args.networks, width).items(), images.unbind(dim=1), strict=True
        )
    ]
    together = Learner(fresh_trainees(args.networks, width), SETTINGS, world)

    def alone() -> None:
        for learner, batches in each:
            learner.take_step(batches, RATE)

    def as_one() -> None:
        together.take_step([MicroBatch(images, labels, None, None)], RATE)

    def block(step: Callable[[], None]) -> None:
        for _ in range(args.steps):
            step()
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
    parser = argparse.ArgumentParser(description="Region networks on one GPU, alone and as one.")
    parser.add_argument("--widths", type=float, nargs="+", default=[0.125, 1.0])
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10, help="of a block")
    parser.add_argument("--repeats", type=int, default=5, help="timed blocks of each")
    parser.add_argument("--quick", action="store_true", help="2 networks at width 1/8, blocks of 2 steps, 1 repeat")
    args = parser.parse_args()
    if args.quick:
        args.widths, args.networks, args.steps, args.repeats = [0.125], 2, 2, 1
    if not torch.cuda.is_available():
        print("cuda_regions: no CUDA device here, nothing measured")
        return
    device = torch.device("cuda", 0)
    rows = [measure(width, args, device) for width in args.widths]
    config = {"px": SIZE_PX, "batch": BATCH_SIZE, "steps": args.steps, "repeats": args.repeats}
    report("cuda_regions", config, rows, gpu=torch.cuda.get_device_name(device), cuda=torch.version.cuda)


if __name__ == "__main__":
    main()
