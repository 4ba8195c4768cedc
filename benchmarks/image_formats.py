"""PNG and JPEG (quality 95, 4:4:4) in shards: processor time to write and read a face, bytes, and what verification loses.

    python -m benchmarks.image_formats                              60 rendered faces; no verification
    python -m benchmarks.image_formats --lfw "$FACES_DIR/lfw" --weights "$FACES_DIR/weights" --pairs 600
                                                                    the photographs of LFW's first 600 pairs
    python -m benchmarks.image_formats --quick                      8 rendered faces, one turn

The photographs are searched by dlib's HOG detector, the face in the middle taken, and aligned once; pairs without one on
either side are left out and counted. Each network embeds the faces as PNG gives them back and as JPEG does, mirrored images
added; the last rows compare a face of one with a face of the other, as a model that learned from shards meets photographs.
`max 1 - cos` is the largest change that JPEG makes to an embedding.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.common import on_cores, paired_ratio, report, spread
from pipeline_lib.core.cosine import cosine, unit
from pipeline_lib.core.roc import area_under, equal_error_rate, roc_curve, tar_at_far
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.data.photos.place import Place, read_photo
from pipeline_lib.data.shards.images import Format, decode_image, encode_image
from pipeline_lib.data.sources.lfw import LfwPair, parse_pairs
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.matching.verification.threshold import best_threshold
from pipeline_lib.networks.backbones.shared.build import network_spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network
from pipeline_lib.networks.embedding.extract import face_features
from pipeline_lib.params.networks import Network

Image = npt.NDArray[np.uint8]
FORMATS: tuple[Format, ...] = ("png", "jpeg")
MAX_PIXELS = 50_000_000
FAR = 0.01
PUBLISHED = {"embedding_dim": 128, "epochs": 0, "head": {"kind": "none"}}
NETWORKS = {"dlib_resnet": "data/none", "mobilefacenet": "mobilefacenet_xiaoccer_068.ckpt"}


def cpu_seconds(run: Callable[[], object]) -> float:
    """Processor time of a call in this thread: others' work on the machine does not count."""
    started = time.thread_time()
    run()
    return time.thread_time() - started


def rendered_faces(num: int) -> list[Image]:
    """Aligned faces of people who do not exist: the middle of a rendered photograph, 112 px."""
    rng = np.random.default_rng(0)
    photos = [render_photo([sample_identity(rng)], rng, 250)[0] for _ in range(num)]
    return [np.asarray(cv2.resize(photo[55:195, 55:195], (112, 112)), np.uint8) for photo in photos]


def aligned_pairs(lfw: Path, num_pairs: int) -> tuple[dict[tuple[str, int], Image], list[LfwPair]]:
    """The aligned faces of LFW's first pairs, and the pairs that have both."""
    pairs = parse_pairs((lfw / "pairs.txt").read_text(), lfw / "pairs.txt")[:num_pairs]
    detector = make_detector("dlib", None, 0.0, 60)
    faces: dict[tuple[str, int], Image] = {}
    for name, number in dict.fromkeys(side for pair in pairs for side in (pair.a, pair.b)):
        path = lfw / "images" / name / f"{name}_{number:04d}.jpg"
        photo = decode_photo(read_photo(Place(path), MAX_PIXELS), MAX_PIXELS)
        try:
            faces[name, number] = align_photo(photo, detector, "centre", 60)[0]
        except FaceReject:
            continue
    return faces, [pair for pair in pairs if pair.a in faces and pair.b in faces]


def embedder(kind: str, weights: Path) -> Callable[[list[Image]], npt.NDArray[np.float32]]:
    """A published network: faces to embeddings, float32 (N, D)."""
    checkpoint = NETWORKS[kind] if NETWORKS[kind] == "data/none" else str(weights / NETWORKS[kind])
    section = Network.model_validate({**PUBLISHED, "arch": kind, "checkpoint": checkpoint, "teacher": "none"})
    network = initial_network(network_spec(section, kind), 0, section.checkpoint_file).eval()
    embed = face_features(network, mirror=True, with_patches=False)
    return lambda faces: np.concatenate(
        [embed(np.stack(faces[first : first + 32]))[0].numpy() for first in range(0, len(faces), 32)]
    )


def verification(faces: dict[tuple[str, int], Image], pairs: list[LfwPair], weights: Path) -> list[dict[str, object]]:
    """A row for each network and each way to keep the two faces of a pair."""
    place = {key: row for row, key in enumerate(faces)}
    sides = [[place[getattr(pair, side)] for pair in pairs] for side in ("a", "b")]
    genuine = np.array([pair.genuine for pair in pairs])
    rows: list[dict[str, object]] = []
    for kind in NETWORKS:
        embed = embedder(kind, weights)
        kept = {
            format: embed([decode_image(encode_image(face, format)) for face in faces.values()]) for format in FORMATS
        }
        changed = 1 - cosine(kept["png"], kept["jpeg"])
        for first, second in (("png", "png"), ("jpeg", "jpeg"), ("png", "jpeg")):
            scores = cosine(unit(kept[first][sides[0]]), unit(kept[second][sides[1]]))
            roc = roc_curve(scores, genuine)
            rows.append(
                {
                    "network": kind,
                    "faces": f"{first} - {second}",
                    "accuracy %": 100 * best_threshold(scores, genuine)[1],
                    f"TAR@{FAR} %": 100 * (tar_at_far(roc, FAR) or float("nan")),
                    "EER %": 100 * equal_error_rate(roc)[0],
                    "AUC": area_under(roc),
                    "max 1 - cos": float(changed.max()) if first != second or first == "jpeg" else 0.0,
                }
            )
    return rows


def main() -> None:
    """Measure, and print tables and lines of JSON."""
    parser = argparse.ArgumentParser(description="PNG and JPEG as members of shards.")
    parser.add_argument("--lfw", type=Path, help="its folder, with images/ and pairs.txt")
    parser.add_argument("--weights", type=Path, help="the folder of MobileFaceNet's checkpoint")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="8 rendered faces, one turn")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with on_cores(1):
        faces, pairs = aligned_pairs(args.lfw, args.pairs) if args.lfw else ({}, [])
        images = list(faces.values())[:300] or rendered_faces(8 if args.quick else 60)
        taken: dict[str, list[float]] = {f"{verb} {format}": [] for format in FORMATS for verb in ("write", "read")}
        kept = {format: [encode_image(image, format) for image in images] for format in FORMATS}
        for _ in range(1 if args.quick else args.turns):
            for format in FORMATS:
                taken[f"write {format}"].append(cpu_seconds(lambda: [encode_image(image, format) for image in images]))  # noqa: B023
                taken[f"read {format}"].append(cpu_seconds(lambda: [decode_image(data) for data in kept[format]]))  # noqa: B023
        each = 1e6 / len(images)
        rows: list[dict[str, object]] = [
            {
                "format": format,
                "kB a face": float(np.mean([len(data) for data in kept[format]])) / 1000,
                "write us": spread([each * value for value in taken[f"write {format}"]])["median"],
                "read us": spread([each * value for value in taken[f"read {format}"]])["median"],
                "mean error": float(
                    np.mean(
                        [
                            np.abs(decode_image(data).astype(np.int16) - image).mean()
                            for data, image in zip(kept[format], images, strict=True)
                        ]
                    )
                ),
            }
            for format in FORMATS
        ]
        ratios = {verb: paired_ratio(taken[f"{verb} png"], taken[f"{verb} jpeg"]) for verb in ("write", "read")}
        report(
            "image_formats", {"faces": len(images), "of": "LFW" if args.lfw else "rendered"}, rows, png_over_jpeg=ratios
        )
        if pairs and args.weights:
            found = verification(faces, pairs, args.weights)
            config = {"pairs": len(pairs), "of": args.pairs, "genuine": sum(pair.genuine for pair in pairs)}
            report("image_formats_verification", config, found)


if __name__ == "__main__":
    main()
