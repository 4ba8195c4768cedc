"""Face detectors of dlib's files on one core, and ours on a CUDA device where there is one: time an image, and faces found.

    python -m benchmarks.detectors                      20 rendered photographs of 250 px, shown at 330 px, three turns
    python -m benchmarks.detectors --photos "$FACES_DIR/cfp/Data/Images" --pattern '*/profile/*.jpg' --enlarge 1.5
                                                        the first 60 of a folder's photographs instead, enlarged
    python -m benchmarks.detectors --quick              4 rendered ones, one turn

`mmod` is our network, `dlib cnn` dlib's own computation of the same file, `HOG` dlib's older detector; none enlarges anything
by itself, and none makes landmarks. `found` counts photographs with a face, `same` those in which the two of the network have
as many faces, each with an IoU of at least 0.9.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np
import torch

from benchmarks.common import on_cores, report, spread
from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.data.faces.detection.face import Image
from pipeline_lib.data.faces.detection.mmod import search
from pipeline_lib.data.faces.detection.mmod_network import FILE, load_mmod
from pipeline_lib.data.faces.detection.retinaface_boxes import Floats
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.data.photos.place import Place, read_photo
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo

SIDE_PX, MAX_PIXELS, MAX_PHOTOS = 330, 50_000_000, 60
Detector = Callable[[Image], Floats]


def pictures(num_rendered: int, photos: Path | None, pattern: str, enlarge: float) -> list[Image]:
    """Rendered photographs, or those of a folder."""
    if photos is None:
        rng = np.random.default_rng(0)
        drawn = [render_photo([sample_identity(rng)], rng, 250)[0] for _ in range(num_rendered)]
        return [np.asarray(cv2.resize(one, (SIDE_PX, SIDE_PX)), np.uint8) for one in drawn]
    read = [
        decode_photo(read_photo(Place(path), MAX_PIXELS), MAX_PIXELS)
        for path in sorted(photos.glob(pattern))[:MAX_PHOTOS]
    ]
    return [np.asarray(cv2.resize(one, None, fx=enlarge, fy=enlarge), np.uint8) for one in read]


def detectors() -> dict[str, Detector]:
    """Each gives the boxes x0 y0 x1 y1 of a picture."""
    network, hog = load_mmod(), dlib.get_frontal_face_detector()
    cnn = dlib.cnn_face_detection_model_v1(str(package_file(FILE)))
    made: dict[str, Detector] = {
        "mmod": lambda image: search(network, [image], 0.0)[0][0],
        "dlib cnn": lambda image: _boxes([one.rect for one in cnn(image, 0)]),
        "HOG": lambda image: _boxes(hog(image, 0)),
    }
    if torch.cuda.is_available():
        there = load_mmod().cuda()
        made["mmod, GPU"] = lambda image: search(there, [image], 0.0, "cuda")[0][0]
    return made


def _boxes(rectangles: list[dlib.rectangle]) -> Floats:
    return np.array([[r.left(), r.top(), r.right() + 1, r.bottom() + 1] for r in rectangles], np.float32).reshape(-1, 4)


def same_faces(a: Floats, b: Floats) -> bool:
    """As many, and each of `a` has one of `b` with an IoU of at least 0.9."""
    low, high = (
        pick(a[:, None, part], b[:, part]) for pick, part in ((np.maximum, slice(2)), (np.minimum, slice(2, 4)))
    )
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    close = shared >= 0.9 * (areas[0][:, None] + areas[1] - shared)
    return len(a) == len(b) and bool(close.any(axis=1).all())


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="dlib's face detectors, and ours.")
    parser.add_argument("--photos", type=Path, help="a folder of photographs")
    parser.add_argument("--pattern", default="**/*.jpg", help="of their names")
    parser.add_argument("--enlarge", type=float, default=1.0, help="of those")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="4 rendered photographs, one turn")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = pictures(4 if args.quick else 20, args.photos, args.pattern, args.enlarge)
    finders = detectors()
    taken: dict[str, list[float]] = {name: [] for name in finders}
    found: dict[str, list[Floats]] = {}
    with on_cores(1):
        for find in finders.values():
            find(images[0])
        for _ in range(1 if args.quick else args.turns):
            for name, find in finders.items():
                started = time.perf_counter()
                found[name] = [find(image) for image in images]
                taken[name].append(1000 * (time.perf_counter() - started) / len(images))
    rows: list[dict[str, object]] = [
        {
            "detector": name,
            "ms/image": spread(taken[name])["median"],
            "found": sum(len(boxes) > 0 for boxes in found[name]),
        }
        for name in finders
    ]
    same = sum(same_faces(a, b) for a, b in zip(found["dlib cnn"], found["mmod"], strict=True))
    config = {"images": len(images), "pixels": int(np.median([one.shape[0] * one.shape[1] for one in images]))}
    report("detectors", config, rows, same=same, ms={name: spread(values) for name, values in taken.items()})


if __name__ == "__main__":
    main()
