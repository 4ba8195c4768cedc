"""Section `align`: detection and five-point alignment."""

from pathlib import Path
from typing import Literal

from pipeline_lib.params.section import NO_FILE, Positive, Section, Share


class Align(Section):
    """How a photograph becomes one aligned face.

    `detector`: a kind of data/faces/detection. `weights`: its checkpoint; data/none for the one it downloads or brings.
    """

    detector: Literal["mmod", "dlib", "retinaface_resnet50", "retinaface_mobilenet", "retinaface_pytorch"]
    weights: str = NO_FILE
    min_score: float
    min_face_px: Positive
    several_faces: Literal["reject", "largest", "centre"]
    max_reject_share: Share

    @property
    def weights_file(self) -> Path | None:
        """`weights`, None for none."""
        return None if self.weights == NO_FILE else Path(self.weights)
