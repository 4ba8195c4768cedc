"""RetinaFace searches a photograph twice: finely for small faces, coarsely for those that outgrow its anchors."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.faces.detection.resize import searched_side_px
from pipeline_lib.data.faces.detection.retinaface_boxes import Floats

LONGEST_SIDE_PX = 1024  # for speed and memory, where min_face_px allows it
Search = Callable[[Sequence[Image], Sequence[int]], list[list[Face]]]


def search_twice(
    images: Sequence[Image], search: Search, smallest_face_px: int, reach_px: int, min_face_px: int
) -> list[list[Face]]:
    """All faces of each image, the highest score first.

    The fine search shrinks a photograph to 1024 px on its longest side, or to more where faces of min_face_px would fall below
    smallest_face_px. A photograph larger than reach_px is searched a second time, shrunk to reach_px.

    Args:
        images: uint8 RGB (H, W, 3).
        search: images and the longest side that each is shrunk to, px -> faces in pixels of the image as it was given.
        smallest_face_px: the smallest face that the network sees.
        reach_px: the largest that it sees whole.
        min_face_px: the smallest face that must be found.
    """
    longest_px = [max(image.shape[:2]) for image in images]
    sides_px = [searched_side_px(px, LONGEST_SIDE_PX, smallest_face_px, min_face_px) for px in longest_px]
    found = search(images, sides_px)
    large = [index for index, px in enumerate(longest_px) if px > reach_px]
    coarse = search([images[index] for index in large], [reach_px] * len(large))
    for index, faces in zip(large, coarse, strict=True):
        seen_px = min(longest_px[index], sides_px[index])
        found[index] = merge_scales(faces, found[index], longest_px[index] * min(1.0, LONGEST_SIDE_PX / seen_px))
    return found


def merge_scales(coarse: Sequence[Face], fine: Sequence[Face], longest_px: float) -> list[Face]:
    """Large faces of a coarse search and small ones of a fine search of the same photograph, the highest score first.

    A network whose anchors a face outgrows reports pieces of it with high scores. So a face counts as found by the
    coarse search if it is at least 1/5 of `longest_px`, and as found by the fine one if it is at most 3/10 of it and not
    mostly (by more than half of its area) inside one of the former. Between 1/5 and 3/10 both searches are reliable, so
    that a face whose size they judge differently is not lost.

    Args:
        coarse, fine: faces in pixels of the photograph.
        longest_px: the photograph's longest side, or what of it the fine search saw as LONGEST_SIDE_PX if it saw more.
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
