"""What the benchmarks share: networks, settings, drawn faces in shards, timing in turn, the printed report.

Nothing here imports more than torch, numpy, pydantic and the standard library until faces are written.
"""

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline_lib.data.shards.images import Format
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.spec import BLOCK_PRESETS, NetworkSpec
from pipeline_lib.networks.heads import arcface
from pipeline_lib.networks.training.learner import Learner, MicroBatch
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.networks import Patches
from pipeline_lib.params.train import Train

NETWORKS: dict[str, NetworkSpec] = {
    "iresnet18": iresnet.Spec(),
    "iresnet50": iresnet.Spec(blocks=BLOCK_PRESETS["r50"]),
    "iresnet100": iresnet.Spec(blocks=BLOCK_PRESETS["r100"]),
    "rrfnet28": iresnet.Spec(patches=Patches(side_px=28, layout="no_corners33")),
    "rrfnet56": iresnet.Spec(patches=Patches(side_px=56, layout="cross5")),
    "demo": iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=128),  # networks.iresnet of params.yaml
}
RATE = 1e-4  # small: what is measured does not depend on it, and nothing diverges
HEAD = arcface.Settings(scale=64.0, margin=0.5)
MACHINE = Machine(log_every_steps=1, checkpoint_every_steps=10**9)  # one loader thread


def train_settings(batch_size: int, **changes: object) -> Train:
    """Settings of the engine for a benchmark: SGD with momentum, no warm-up."""
    settings: dict[str, object] = {
        "batch_size": batch_size,
        "micro_batch_size": None,
        "learning_rate": RATE,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "clip_norm": 5.0,
        "warmup_epochs": 0,
        "partial_fc_rate": None,
        "shift_px": 5,
        "use_occluded": False,
        "ema_decay": None,
        "validate_every_epochs": None,
        "compile": False,
        "seed": 0,
    }
    return Train.model_validate({**settings, **changes})


def write_faces(aligned: Path, num_images: int, num_identities: int, format: Format = "png") -> None:
    """Drawn aligned faces of training identities as the align stage writes them: shards/ and index.parquet.

    Blurred noise with grain, so that the PNGs are as large as those of photographs, 20 to 25 kB.
    """
    import cv2

    from pipeline_lib.core.tables import write_table
    from pipeline_lib.data.shards.images import MEMBERS, encode_image
    from pipeline_lib.data.shards.writer import ShardWriter
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    (aligned / "shards").mkdir(parents=True)
    rng = np.random.default_rng(0)
    with ShardWriter(aligned / "shards", "aligned", images_per_shard=1000) as writer:
        for i in range(num_images):
            coarse = cv2.resize(rng.uniform(20, 235, (14, 14, 3)), (112, 112), interpolation=cv2.INTER_CUBIC)
            image = np.clip(coarse + rng.normal(0, 3, coarse.shape), 0, 255).astype(np.uint8)
            writer.write(
                f"face{i:06d}",
                {MEMBERS[format]: encode_image(image, format), "json": b"{}"},
                image_id=f"face{i:06d}",
                identity=f"person{i % num_identities:05d}",
                split="train",
                landmarks=np.zeros((5, 2), np.float32),
                score=1.0,
            )
    write_table(aligned / "index.parquet", writer.index(), SHARD_INDEX)


def step_flops(learner: Learner, parts: list[MicroBatch]) -> int:
    """Multiplications and additions of one training step (which is taken): convolutions and matrix products alone.

    A convolution counts 2 C_in k² for each value of its output, padding included; its backward pass the same again for
    the gradient of the weights, and once more for that of the input where one is taken (not of the images).
    Normalisation, activation, optimiser and sums count nothing.
    """
    with FlopCounterMode(display=False) as counter:
        learner.take_step(parts, RATE)
    return counter.get_total_flops()


def seconds(run: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def spread(values: Sequence[float], digits: int = 4) -> dict[str, float]:
    """Median, minimum and maximum."""
    figures = {"median": median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in figures.items()}


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The ratios of runs that took their turns together: a drift of the machine's speed meets both alike."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


@contextmanager
def on_cores(num_cores: int) -> Iterator[None]:
    """Keep this process, its threads and its children on the first cores it may use; loader threads compete for them."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < num_cores:
        raise SystemExit(f"{num_cores} cores are needed, {len(allowed)} may be used")
    os.sched_setaffinity(0, sorted(allowed)[:num_cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def cpu_name() -> str:
    """The processor's model name."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def report(benchmark: str, config: Mapping[str, object], rows: list[dict[str, object]], **figures: object) -> None:
    """Print `rows` as a table, one column a number or name, then everything as a line of JSON, with hardware and versions."""
    columns = [key for key, value in rows[0].items() if not isinstance(value, dict)]
    cells = [columns, *([_text(row[key]) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    machine = {
        "hardware": f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    print(json.dumps({"benchmark": benchmark, "config": dict(config), "rows": rows, **figures, **machine}))


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
