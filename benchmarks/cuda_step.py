"""Training steps on one GPU: the engine's, compiled and not, against one in eager, contiguous, fp16 form.

    python -m benchmarks.cuda_step            IResNet-50, IResNet-100, RRFNet-28, RRFNet-56
    python -m benchmarks.cuda_step --quick    IResNet-50 with a small batch

`engine` is Learner.take_step as training runs it: bf16 autocast, channels_last, fused SGD; `compiled` the same with
train.compile; `plain` the common way: fp16 autocast with a loss scaler, contiguous maps, SGD without fusing. Each takes
batches of random images from this machine's memory, copies included. Blocks of steps take turns with products of two
8192x8192 bf16 matrices; `share` is FLOP/s of the steps over FLOP/s of the product (common.step_flops says what counts),
`memory` the growth of the most that was allocated, from before the contender was built through its first steps. No
patch is masked. Without a CUDA device it says so and measures nothing.
"""

import argparse
from collections.abc import Callable
from statistics import median
from unittest import mock

import numpy as np
import torch
from torch import nn

from benchmarks.common import HEAD, NETWORKS, RATE, paired_ratio, report, seconds, step_flops, train_settings
from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.train import Train

BATCH_SIZES = {"iresnet50": 256, "iresnet100": 128, "rrfnet28": 64, "rrfnet56": 64}
NUM_CLASSES = 10_000
MATRIX = 8192
Step = Callable[[Batch], None]


def random_batch(batch_size: int, seed: int = 0) -> Batch:
    """Random images and labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (batch_size, 112, 112, 3), dtype=np.uint8)
    labels = rng.integers(NUM_CLASSES, size=batch_size)
    return Batch([images], labels, None, None, np.arange(batch_size))


def fresh_trainee(name: str, settings: Train) -> Trainee:
    """Network and head, the same weights each time."""
    return new_trainee(build_network(NETWORKS[name]), HEAD, settings, NUM_CLASSES)


def engine_step(trainee: Trainee, settings: Train, device: torch.device) -> Step:
    """A step of the engine."""
    learner = Learner({"it": trainee}, settings, World(0, 0, 1, device))
    return lambda batch: learner.take_step(micro_batches(batch, [0], settings.batch_size, device), RATE)


def plain_step(trainee: Trainee, settings: Train, device: torch.device) -> Step:
    """A step of the same network and head in float16 autocast on contiguous maps, its loss scaled."""
    trainee = trainee.to(device=device, memory_format=torch.contiguous_format).train()  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(
        [parameter for parameter in trainee.parameters() if parameter.requires_grad],
        lr=RATE,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    scaler = torch.amp.GradScaler(device.type)

    def step(batch: Batch) -> None:
        (part,) = micro_batches(batch, [0], settings.batch_size, device)
        images = part.images.permute(0, 3, 1, 2).contiguous().float().div_(127.5).sub_(1)
        optimiser.zero_grad(set_to_none=True)
        with (
            mock.patch.object(iresnet, "channels_last", lambda images: images),
            torch.autocast(device.type, dtype=torch.float16),
        ):
            embeddings = trainee.network(images)
        scaler.scale(trainee.head(embeddings, part.labels, part.noise)).backward()
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(trainee.network.parameters(), settings.clip_norm)
        scaler.step(optimiser)
        scaler.update()

    return step


def measure(name: str, batch_size: int, args: argparse.Namespace, device: torch.device) -> list[dict[str, object]]:
    """Each contender's memory, then blocks of steps in turn; a row of the table each."""
    settings, batch = train_settings(batch_size), random_batch(batch_size)
    compiled = train_settings(batch_size, compile=True)
    builds: dict[str, Callable[[], Step]] = {
        "engine": lambda: engine_step(fresh_trainee(name, settings), settings, device),
        "compiled": lambda: engine_step(fresh_trainee(name, settings), compiled, device),
        "plain": lambda: plain_step(fresh_trainee(name, settings), settings, device),
    }
    if args.without_compiled:
        del builds["compiled"]
    learner = Learner({name: fresh_trainee(name, settings)}, settings, World(0, 0, 1, device))
    flops = step_flops(learner, micro_batches(batch, [0], batch_size, device))
    del learner
    steps, memory = {}, {}
    for contender, build in builds.items():
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        steps[contender] = build()
        for _ in range(3):
            steps[contender](batch)
        memory[contender] = torch.cuda.max_memory_allocated(device) - before

    def block(step: Step) -> None:
        for _ in range(args.steps):
            step(batch)
        torch.cuda.synchronize(device)

    a, b = torch.randn(2, MATRIX, MATRIX, device=device, dtype=torch.bfloat16).unbind()
    out = torch.empty_like(a)

    def products() -> None:
        for _ in range(20):
            torch.mm(a, b, out=out)
        torch.cuda.synchronize(device)

    times: dict[str, list[float]] = {contender: [] for contender in steps}
    peaks: list[float] = []
    products()
    for _ in range(args.repeats):
        peaks.append(20 * 2 * MATRIX**3 / seconds(products))
        for contender, step in steps.items():
            times[contender].append(seconds(lambda: block(step)) / args.steps)  # noqa: B023 (called at once)
    return [
        {
            "network": name,
            "contender": contender,
            "batch": batch_size,
            "images/s": batch_size / median(values),
            "TFLOP/s": flops / median(values) / 1e12,
            "product": median(peaks) / 1e12,
            "share": median(flops / value / peak for value, peak in zip(values, peaks, strict=True)),
            "over plain": paired_ratio(times["plain"], values)["median"],
            "memory, GiB": memory[contender] / 2**30,
            "speedup": paired_ratio(times["plain"], values),
        }
        for contender, values in times.items()
    ]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description="Training steps on one GPU.")
    parser.add_argument("--networks", nargs="+", choices=list(BATCH_SIZES), default=list(BATCH_SIZES))
    parser.add_argument("--batch", type=int, help="instead of the networks' own")
    parser.add_argument("--steps", type=int, default=20, help="of a block")
    parser.add_argument("--repeats", type=int, default=5, help="timed blocks of each")
    parser.add_argument("--without-compiled", action="store_true", help="whose kernels take minutes to be made")
    parser.add_argument("--quick", action="store_true", help="iresnet50, batch 32, blocks of 3 steps, 2 repeats")
    args = parser.parse_args(arguments)
    if args.quick:
        args.networks, args.batch, args.steps, args.repeats = ["iresnet50"], 32, 3, 2
    return args


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    args = parse()
    if not torch.cuda.is_available():
        print("cuda_step: no CUDA device here, nothing measured")
        return
    device = torch.device("cuda", 0)
    rows = []
    for name in args.networks:
        rows += measure(name, args.batch or BATCH_SIZES[name], args, device)
    config = {"steps": args.steps, "repeats": args.repeats, "classes": NUM_CLASSES}
    report("cuda_step", config, rows, gpu=torch.cuda.get_device_name(device), cuda=torch.version.cuda)


if __name__ == "__main__":
    main()
