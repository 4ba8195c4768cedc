"""The baseline that knows nothing of faces: the cosine of the aligned pixels, less each image's mean."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State


class Settings(ScoreSettings):
    """It has none."""


class RawPixel(Scorer):
    """Pearson's correlation of the two images' pixels, in [-1, 1]."""

    needs = Needs(pixels=True)

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return cosine(pixel_features(given(a.pixels)), pixel_features(given(b.pixels)))

    def state(self) -> State:
        """See Scorer."""
        return {}


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """One column."""
    return {"": RawPixel()}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return RawPixel(**state)


def pixel_features(images: npt.NDArray[np.uint8]) -> Floats:
    """Pixels less their mean over the image and its three channels: uint8 (N, H, W, 3) to float32 (N, 3·H·W).

    One mean for all channels leaves the colour of the face in, which the networks see too.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    centred: Floats = flat - flat.mean(axis=1, keepdims=True)
    return centred
