"""What re-ranking and its explanation both set of the transport between two faces."""

from typing import Literal

Weights = Literal["uniform", "apc", "cc", "sc", "sc_distance", "lmk"]  # a key of matching.emd.weights.WEIGHTS
