"""RetinaFace MobileNet on one core: photographs one at a time, as its authors' code does, and in our batches.

    python -m benchmarks.retinaface_batches            48 of LFW's photographs (250x250), and the same cut to 200 to 250 px a side
    python -m benchmarks.retinaface_batches --quick    8 drawn pictures, random weights, two turns

Processor time of one thread, decoding of the network's answer and suppression included, reading of files not. `published` is the
network with its batch normalisations, one photograph a pass; `alone` ours, folded, one a pass; `batches` ours as the align stage
asks it. A turn measures all three, one after the other; a ratio is the median of the turns' own ratios. `same` counts photographs
in which batches find what `published` finds: as many faces, each box within 0.1 px.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.common import on_cores, report, spread
from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.faces.detection.retinaface import RetinafaceDetector
from pipeline_lib.data.faces.detection.retinaface_backbones import Mask
from pipeline_lib.data.faces.detection.retinaface_network import RetinaFace, load_retinaface
from pipeline_lib.data.faces.detection.weights import read_state
from pipeline_lib.data.photos.photo import decode_photo

WEIGHTS = "weights/retinaface_mobilenet0.25_fd1mb.pth"
MIN_SCORE, MIN_FACE_PX, MAX_PIXELS = 0.9, 40, 50_000_000
Find = Callable[[list[Image]], list[list[Face]]]


class Published(torch.nn.Module):
    """The network as its checkpoint has it; scales its input itself."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.network = RetinaFace("mobilenet")
        self.network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
        self.network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean, self.network.mean = self.network.mean, torch.zeros(1)
        self.variant = self.network.variant

    def forward(self, rgb: torch.Tensor, inside: Mask) -> tuple[torch.Tensor, ...]:
        """See RetinaFace."""
        bgr = ((rgb - self.mean) / self.network.std).flip(1).contiguous(memory_format=torch.channels_last)
        outputs: tuple[torch.Tensor, ...] = self.network(bgr, inside)
        return outputs


def one_at_a_time(detector: RetinafaceDetector) -> Find:
    """One photograph a call."""
    return lambda images: [detector.detect([image])[0] for image in images]


def same(a: list[Face], b: list[Face]) -> bool:
    """As many faces, in the same places."""
    return len(a) == len(b) and all(np.abs(x.box - y.box).max() < 0.1 for x, y in zip(a, b, strict=True))


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="RetinaFace in batches.")
    parser.add_argument("--photographs", type=int, default=48)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="8 drawn pictures, random weights, two turns")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    if args.quick:
        args.turns, state = 2, RetinaFace("mobilenet").state_dict()
        images = [rng.integers(0, 256, (250, 250, 3), dtype=np.uint8) for _ in range(8)]
    else:
        root = Path(os.environ["FACES_DIR"])
        state, folders = read_state(root / WEIGHTS), sorted((root / "lfw" / "images").iterdir())[: args.photographs]
        images = [decode_photo(min(folder.glob("*.jpg")).read_bytes(), MAX_PIXELS) for folder in folders]
    cut = [image[: rng.integers(200, 251), : rng.integers(200, 251)] for image in images]
    ours = RetinafaceDetector(load_retinaface("mobilenet", state, "state"), MIN_SCORE, MIN_FACE_PX)
    finders: dict[str, Find] = {
        "published": one_at_a_time(RetinafaceDetector(Published(state), MIN_SCORE, MIN_FACE_PX)),
        "alone": one_at_a_time(ours),
        "batches": ours.detect,
    }
    rows, times = list[dict[str, object]](), dict[str, object]()
    with on_cores(1):
        for what, pictures in (("250x250", images), ("200 to 250 px", cut)):
            found = {name: find(pictures) for name, find in finders.items()}
            taken: dict[str, list[float]] = {name: [] for name in finders}
            for _ in range(args.turns):
                for name, find in finders.items():
                    started = time.process_time()
                    find(pictures)
                    taken[name].append(1000 * (time.process_time() - started) / len(pictures))
            row: dict[str, object] = {"pictures": what}
            row |= {f"{name}, ms": round(median(values), 2) for name, values in taken.items()}
            for name in ("published", "alone"):
                row[f"over {name}"] = round(
                    median(a / b for a, b in zip(taken[name], taken["batches"], strict=True)), 2
                )
            row["same"] = sum(same(a, b) for a, b in zip(found["published"], found["batches"], strict=True))
            rows.append(row)
            times[what] = {name: spread(values) for name, values in taken.items()}
    report("retinaface_batches", {"pictures": len(images), "turns": args.turns}, rows, ms=times)


if __name__ == "__main__":
    main()
