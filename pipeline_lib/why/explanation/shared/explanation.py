"""What every explanation method gives, and what it asks of a network."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.kinds import kind_names, load_kind
from pipeline_lib.networks.backbones.shared.network import FaceNetwork

# A kind's REQUIRES: the patches of an additive network; those of any network; its gradients; its embeddings alone (a black box).
Requires = Literal["additive", "patches", "gradients", "embeddings"]
WITH_PATCHES: tuple[Requires, ...] = ("additive", "patches")
KINDS = "why.explanation"
Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Explanation:
    """Where in two faces their score comes from.

    Attributes:
        maps: float32 (2, 112, 112), finite, of image A and of image B, each in its own image's frame; signed, positive speaks
            for a match. In the unit of the method; an additive method's maps each sum to the score.
        score: the cosine that is explained, as verify has it.
        terms: float64 (K, K), what each pair of patches (row of A, column of B) adds to the score; None where the method
            splits nothing.
        boxes: int64 (K, 4), x y w h px of the patches in the aligned image; None where the method knows pixels alone. Without
            terms, a map has one value a box.
        confidence: that the decision on the pair is right, in [0, 1]; None where the method gives none.

    Raises:
        DataError: the maps have another shape or type, or hold a value that is not finite.
    """

    maps: Maps
    score: float
    terms: npt.NDArray[np.float64] | None = None
    boxes: npt.NDArray[np.int64] | None = None
    confidence: float | None = None

    def __post_init__(self) -> None:
        allowed = (2, FACE_PX, FACE_PX)
        if self.maps.dtype != np.float32 or self.maps.shape != allowed or not np.isfinite(self.maps).all():
            got = f"{self.maps.dtype} {self.maps.shape}"
            raise DataError("An explanation's maps cannot be kept.", got=got, allowed=f"float32 {allowed}, finite")
        assert self.terms is None or self.boxes is not None, "terms are of patches, and patches have boxes"

    @property
    def additivity_error(self) -> float | None:
        """The larger |sum of a map - score|, which is rounding of the float32 network; None without terms."""
        if self.terms is None:
            return None
        return float(np.abs(self.maps.sum(axis=(1, 2), dtype=np.float64) - self.score).max())


def check_offers(network: FaceNetwork, requires: Requires, where: object = None) -> None:
    """Refuse a network that a kind with these REQUIRES cannot explain.

    Args:
        where: file and key that pair the two, for the message.

    Raises:
        ParamsError: an additive network is required and this is none; names the networks and the kinds that would do.
    """
    if requires != "additive" or network.additive:
        return
    others = [kind for kind in kind_names(KINDS) if load_kind(KINDS, kind, where).REQUIRES != "additive"]
    raise ParamsError(
        "Only the cosine of an additive network, whose embedding is the mean of its patches, is a sum over patches.",
        got=f"arch {network.spec.arch}",
        allowed=f"a network with `patches` or of arch bagnet; for this one the explanations {', '.join(others)}",
        where=where,
    )
