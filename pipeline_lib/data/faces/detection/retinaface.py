"""RetinaFace with our own network code, in batches of images of one size."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.faces.detection.resize import limit_longest_side
from pipeline_lib.data.faces.detection.retinaface_boxes import (
    Floats,
    anchors,
    decode_boxes,
    decode_landmarks,
    non_maximum_suppression,
)
from pipeline_lib.data.faces.detection.retinaface_network import RetinaFace, load_retinaface
from pipeline_lib.data.faces.detection.weights import read_state, resnet50_weights

LONGEST_SIDE_PX = 1024
MAX_IOU = 0.4  # of two kept faces, as in both published codes
MAX_BATCH_PX = 1 << 20  # pixels of one forward pass


class RetinafaceDetector:
    """RetinaFace on ResNet-50 or MobileNet-0.25.

    Images of one size go through the network together, at most 2**20 pixels at a time (16 of LFW's 250x250), which
    bounds the memory. A photograph with a side above 1024 px is shrunk to that and its boxes are scaled back; a smaller
    one is not enlarged. A photograph larger than the network's reach (see Variant) is searched a second time, shrunk
    to the reach, for the faces that nearly fill it; see merge_scales. The score is the probability of a face, softmax
    over the two logits.

    Args:
        network: in eval mode.
        min_score: in (0, 1); a face scores at least this.
        device: where the network is moved to and computes, as torch names it.
    """

    def __init__(self, network: RetinaFace, min_score: float, device: str = "cpu") -> None:
        self._network = network.to(device)
        self._min_score = min_score
        self._device = device

    @classmethod
    def from_weights(
        cls, variant: str, weights: Path | None, min_score: float, device: str = "cpu"
    ) -> "RetinafaceDetector":
        """Build from a checkpoint; without one, resnet50 fetches retinaface-pytorch's.

        Raises:
            CheckpointError, DownloadError: see read_state and resnet50_weights.
        """
        path = weights or resnet50_weights()
        return cls(load_retinaface(variant, read_state(path), path), min_score, device)

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector."""
        found = self._detect_within(images, LONGEST_SIDE_PX)
        reach_px = self._network.variant.reach_px
        large = [index for index, image in enumerate(images) if max(image.shape[:2]) > reach_px]
        for index, faces in zip(large, self._detect_within([images[i] for i in large], reach_px), strict=True):
            found[index] = merge_scales(faces, found[index], max(images[index].shape[:2]))
        return found

    def _detect_within(self, images: Sequence[Image], longest_px: int) -> list[list[Face]]:
        shrunk = [limit_longest_side(image, longest_px) for image in images]
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, (image, _) in enumerate(shrunk):
            by_size[image.shape].append(index)
        found: list[list[Face]] = [[] for _ in images]
        for (height, width, _), indices in by_size.items():
            step = max(1, MAX_BATCH_PX // (height * width))
            for start in range(0, len(indices), step):
                part = indices[start : start + step]
                for index, faces in zip(part, self._detect_same_size([shrunk[i][0] for i in part]), strict=True):
                    found[index] = [_scaled(face, shrunk[index][1]) for face in faces]
        return found

    def _detect_same_size(self, images: list[Image]) -> list[list[Face]]:
        height, width, _ = images[0].shape
        with torch.inference_mode():
            rgb = torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2).float()
            offsets, logits, points = self._network(rgb)
            scores = logits.softmax(dim=-1)[:, :, 1]
        table = anchors(height, width, self._network.variant.anchor_px)
        outputs = (offsets.cpu().numpy(), scores.cpu().numpy(), points.cpu().numpy())
        return [decode_faces(table, *one, self._min_score) for one in zip(*outputs, strict=True)]


def decode_faces(table: Floats, offsets: Floats, scores: Floats, points: Floats, min_score: float) -> list[Face]:
    """Faces of one image from the network's outputs, the highest score first.

    Args:
        table: float32 (A, 3), see anchors.
        offsets: float32 (A, 4).
        scores: float32 (A,), probabilities.
        points: float32 (A, 10).
        min_score: anchors below it are dropped before the suppression.
    """
    likely = np.flatnonzero(scores >= min_score)
    boxes = decode_boxes(offsets[likely], table[likely])
    landmarks = decode_landmarks(points[likely], table[likely])
    kept = non_maximum_suppression(boxes, scores[likely], MAX_IOU)
    return [Face(boxes[i], float(scores[likely[i]]), landmarks[i]) for i in kept]


def merge_scales(coarse: Sequence[Face], fine: Sequence[Face], longest_px: int) -> list[Face]:
    """Large faces of a coarse search and small ones of a fine search of the same photograph, the highest score first.

    A network whose anchors a face outgrows reports pieces of it with high scores. So a face counts as found by the
    coarse search if it is at least 1/5 of the photograph's longest side, and as found by the fine one if it is at most
    3/10 of it and not mostly (by more than half of its area) inside one of the former. Between 1/5 and 3/10 both
    searches are reliable, so that a face whose size they judge differently is not lost.

    Args:
        coarse, fine: faces in pixels of the photograph.
        longest_px: the photograph's longest side.
    """
    large = [face for face in coarse if _side(face) >= 0.2 * longest_px]
    small = [face for face in fine if _side(face) <= 0.3 * longest_px]
    small = [face for face in small if all(_share_inside(face.box, other.box) <= 0.5 for other in large)]
    return sorted(large + small, key=lambda face: -face.score)


def _side(face: Face) -> float:
    return float((face.box[2:] - face.box[:2]).max())


def _share_inside(box: Floats, other: Floats) -> float:
    overlap = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    return float(np.prod(np.maximum(overlap, 0.0)) / np.prod(box[2:] - box[:2]))


def _scaled(face: Face, scale: Floats) -> Face:
    return Face(face.box * np.tile(scale, 2), face.score, face.landmarks * scale)
