"""RetinaFace with our own network code, in batches of photographs of near sizes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.data.faces.detection.face import Face, Image, check_images
from pipeline_lib.data.faces.detection.resize import limit_longest_side
from pipeline_lib.data.faces.detection.retinaface_batches import Inside, batches, on_canvas
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


class RetinafaceDetector:
    """RetinaFace on ResNet-50 or MobileNet-0.25.

    Photographs of near sizes go through the network together (retinaface_batches), and each has the faces that it has alone.
    Large ones are shrunk and searched twice, see search_twice; none is enlarged, so faces below the smallest anchor (16 px,
    10 px for MobileNet) are not found. The score is the probability of a face, softmax over the two logits.

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
        """See Detector.

        Raises:
            CheckpointError: the network gives numbers that are not finite.
        """
        check_images(images)
        variant = self._network.variant
        return search_twice(images, self._detect_within, variant.anchor_px[0][0], variant.reach_px, self._min_face_px)

    def _detect_within(self, images: Sequence[Image], sides_px: Sequence[int]) -> list[list[Face]]:
        shrunk = [limit_longest_side(image, side_px) for image, side_px in zip(images, sides_px, strict=True)]
        found: list[list[Face]] = [[] for _ in images]
        for batch in batches([(image.shape[0], image.shape[1]) for image, _ in shrunk]):
            for index, faces in zip(batch, self._detect_together([shrunk[i][0] for i in batch]), strict=True):
                found[index] = [_scaled(face, shrunk[index][1]) for face in faces]
        return found

    def _detect_together(self, images: list[Image]) -> list[list[Face]]:
        canvas = on_canvas(images)
        inside = Inside([(image.shape[0], image.shape[1]) for image in images], self._device)
        with torch.inference_mode():
            rgb = torch.from_numpy(canvas).to(self._device).permute(0, 3, 1, 2).float()
            offsets, logits, points = self._network(rgb, inside)
            scores = logits.softmax(dim=-1)[:, :, 1]
            is_likely = (scores * inside.anchors() >= self._min_score) | ~torch.isfinite(scores)
            image, anchor = (numbers.cpu().numpy() for numbers in is_likely.nonzero(as_tuple=True))
            offsets, scores, points = (output[is_likely].cpu().numpy() for output in (offsets, scores, points))
        table = anchors(canvas.shape[1], canvas.shape[2], self._network.variant.anchor_px)[anchor]
        return decode_faces(table, offsets, scores, points, image, len(images))


def decode_faces(
    table: Floats, offsets: Floats, scores: Floats, points: Floats, image: npt.NDArray[np.int64], num_images: int
) -> list[list[Face]]:
    """Faces of each picture from the network's outputs at the likely anchors, the highest score first.

    Args:
        table: float32 (N, 3), see anchors.
        offsets: float32 (N, 4).
        scores: float32 (N,), probabilities.
        points: float32 (N, 10).
        image: (N,), which of the num_images pictures an anchor is of.

    Raises:
        CheckpointError: a number is not finite.
    """
    boxes, landmarks = decode_boxes(offsets, table), decode_landmarks(points, table)
    if not all(np.isfinite(values).all() for values in (boxes, scores, landmarks)):
        raise CheckpointError(
            "The detector's network gives numbers that are not finite; its weights are damaged.", where="align.weights"
        )
    found: list[list[Face]] = [[] for _ in range(num_images)]
    for i in non_maximum_suppression(boxes, scores, MAX_IOU, image):
        found[image[i]].append(Face(boxes[i], float(scores[i]), landmarks[i]))
    return found


def _scaled(face: Face, scale: Floats) -> Face:
    return Face(face.box * np.tile(scale, 2), face.score, face.landmarks * scale)
