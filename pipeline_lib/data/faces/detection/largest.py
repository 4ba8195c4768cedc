"""A detector for those who want the largest face alone: large photographs are searched coarsely first."""

from collections.abc import Callable, Sequence
from functools import cache

from pipeline_lib.data.faces.detection.face import Detector, Face, Image

COARSEST_SHARE = 1 / 15  # of a photograph's longest side: the smallest face that its first search must find


class LargestFirst:
    """Searches for faces of at least m·2^k px, then, where there was none, of m·2^(k-1), ..., at last of m = min_face_px.

    k is the largest number for which m·2^k is at most a fifteenth of the photograph's longest side. The time of a search grows
    with the inverse square of the smallest face, so the coarse ones cost a third of the last one together, and spare it where a
    face is found: whatever only a finer search would find is smaller, so the largest face is among those that are returned,
    the small ones of a crowd behind it may not be. A photograph of less than 30·m px is searched once.

    Args:
        make: a detector that finds faces from the given number of px on.
        min_face_px: m.
    """

    def __init__(self, make: Callable[[int], Detector], min_face_px: int) -> None:
        self._detector, self._min_face_px = cache(make), min_face_px

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector; without faces smaller than those that a coarser search found."""
        found: list[list[Face]] = [[] for _ in images]
        halvings = [self._num_halvings(image) for image in images]
        for level in range(max(halvings, default=0), -1, -1):
            due = [i for i, num in enumerate(halvings) if num >= level and not found[i]]
            if due:
                detector = self._detector(self._min_face_px * 2**level)
                for i, faces in zip(due, detector.detect([images[i] for i in due]), strict=True):
                    found[i] = faces
        return found

    def _num_halvings(self, image: Image) -> int:
        return max(0, int(COARSEST_SHARE * max(image.shape[:2]) / self._min_face_px).bit_length() - 1)
