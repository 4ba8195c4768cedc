"""A re-ranker: how alike two faces are by what their places look like."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
KINDS = "matching.rerankers"


@dataclass(frozen=True)
class PatchFaces:
    """What a gallery keeps of n images.

    Attributes:
        keys: their names, for messages.
        vectors: float32 (n, D), embeddings as they came.
        patches: float32 (n, K, C), patch features as they came.
        grid: int64 (K, 4), x y w h in px of each patch.
        landmarks: float32 (n, 68, 2), x y in px of the aligned image, or None where a gallery keeps none.
    """

    keys: Sequence[str]
    vectors: Floats
    patches: Floats
    grid: npt.NDArray[np.int64]
    landmarks: Floats | None = None


@dataclass(frozen=True)
class Compared:
    """How alike P pairs are.

    Attributes:
        similarity: float32 (P,), in [-1, 1] and so of a cosine's size; NaN where not `carried`.
        converged: bool (P,), False where the similarity is that of a solver which stopped at its limit.
        carried: bool (P,), False where the pair cannot be compared.
    """

    similarity: Floats
    converged: Bools
    carried: Bools


@dataclass(frozen=True)
class Reads:
    """What an entry of `rerank` reads: its network's gallery (data/gallery/<network>), and what `with` names or data/none."""

    gallery: Path
    with_: Path
    device: torch.device


class Reranker(ABC):
    """Compares images whose maps are in memory: a block of queries with the candidates that any of them has.

    Attributes:
        num_queries: in a block.
        num_gallery: candidates in memory at once, a thread: of 49 patches of 512 values 80 MB.
    """

    num_queries = 8
    num_gallery = 800

    @abstractmethod
    def prepare(self, faces: PatchFaces, are_queries: bool) -> Any:
        """What `compare` needs of n images, made once, however many pairs they are in.

        Raises:
            DataError: a feature has no direction, or another shape; names the image.
        """

    @abstractmethod
    def compare(self, queries: Any, gallery: Any, pairs: Indices, names: Callable[[int], str]) -> Compared:
        """Compare pairs, int64 (P, 2), row of the prepared queries and row of the prepared gallery.

        A pair's result does not depend on its neighbours. `names` says pair number p, for messages. Threads may call it.
        """
