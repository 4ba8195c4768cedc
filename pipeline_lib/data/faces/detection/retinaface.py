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
from pipeline_lib.data.faces.detection.retinaface_scales import search_twice
from pipeline_lib.data.faces.detection.weights import read_state, resnet50_weights

MAX_IOU = 0.4  # of two kept faces, as in both published codes
MAX_BATCH_PX = 1 << 20  # pixels of one forward pass


class RetinafaceDetector:
    """RetinaFace on ResNet-50 or MobileNet-0.25.

    Images of one size go through the network together, at most 2**20 pixels at a time (16 of LFW's 250x250), which
    bounds the memory. Large photographs are shrunk and searched twice, see search_twice; none is enlarged, so faces below the
    smallest anchor (16 px, 10 px for MobileNet) are not found. The score is the probability of a face, softmax over the
    two logits.

    Args:
        network: in eval mode.
        min_score: in (0, 1); a face scores at least this.
        min_face_px: the smallest face that must be found.
        device: where the network is moved to and computes, as torch names it.
    """

    def __init__(self, network: RetinaFace, min_score: float, min_face_px: int, device: str = "cpu") -> None:
        self._network = network.to(device)
        self._min_score = min_score
        self._min_face_px = min_face_px
        self._device = device

    @classmethod
    def from_weights(
        cls, variant: str, weights: Path | None, min_score: float, min_face_px: int, device: str = "cpu"
    ) -> "RetinafaceDetector":
        """Build from a checkpoint; without one, resnet50 fetches retinaface-pytorch's.

        Raises:
            CheckpointError, DownloadError: see read_state and resnet50_weights.
        """
        path = weights or resnet50_weights()
        return cls(load_retinaface(variant, read_state(path), path), min_score, min_face_px, device)

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector."""
        variant = self._network.variant
        return search_twice(images, self._detect_within, variant.anchor_px[0][0], variant.reach_px, self._min_face_px)

    def _detect_within(self, images: Sequence[Image], sides_px: Sequence[int]) -> list[list[Face]]:
        shrunk = [limit_longest_side(image, side_px) for image, side_px in zip(images, sides_px, strict=True)]
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


def _scaled(face: Face, scale: Floats) -> Face:
    return Face(face.box * np.tile(scale, 2), face.score, face.landmarks * scale)
