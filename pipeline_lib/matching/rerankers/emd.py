"""DeepFace-EMD: the earth mover's distance between the patches of two faces (thesis, section 3.1; METHODS, section 7)."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.sinkhorn import (
    Sinkhorn,
    UnitPatches,
    can_be_transported,
    emd_similarities,
    unit_patches,
)
from pipeline_lib.matching.emd.weights import pool_grid
from pipeline_lib.matching.rerankers.shared.reranker import Compared, Indices, PatchFaces, Reads, Reranker
from pipeline_lib.params.section import AboveZero, Positive, Section
from pipeline_lib.params.transport import Weights


class Settings(Section):
    """`weights` of the patches; `pool` averages the grid pool x pool; the rest as in emd.sinkhorn.Sinkhorn."""

    weights: Weights
    pool: Literal[1, 2]
    regularisation: AboveZero
    tolerance: AboveZero
    max_iterations: Positive


class Emd(Reranker):
    """Σ T·cos at the optimal flow T; pairs in which an image has no weight at all are not carried."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sinkhorn = Sinkhorn(settings.regularisation, settings.tolerance, settings.max_iterations)

    def prepare(self, faces: PatchFaces, are_queries: bool) -> UnitPatches:
        """See Reranker."""
        patches = pool_grid(faces.patches, faces.grid) if self.settings.pool == 2 else faces.patches
        return unit_patches(patches, lambda row: faces.keys[row])

    def compare(
        self, queries: UnitPatches, gallery: UnitPatches, pairs: Indices, names: Callable[[int], str]
    ) -> Compared:
        """See Reranker.

        Where no patch of one image resembles the other, no weighting exists (emd.weights.patch_weights raises): among a
        hundred candidates that is an impostor's normal case.
        """
        carried = can_be_transported(queries, gallery, pairs, self.settings.weights)
        similarity, converged = np.full(len(pairs), np.nan, np.float32), np.ones(len(pairs), np.bool_)
        rows = np.flatnonzero(carried)
        similarity[rows], converged[rows] = emd_similarities(
            queries, gallery, pairs[rows], self.settings.weights, self.sinkhorn, lambda p: names(int(rows[p]))
        )
        return Compared(similarity, converged, carried)


def check_grid(settings: Settings, grid: npt.NDArray[np.int64]) -> None:
    """Refuse a network by its patch grid, int64 (K, 4), before it is trained; raises DataError."""
    if settings.pool == 2:
        pool_grid(np.zeros((1, len(grid), 1), np.float32), grid)


def open_reranker(settings: Settings, reads: Reads) -> Reranker:
    """One that needs nothing but the settings.

    Raises:
        DataError: the entry names something beside them.
    """
    if reads.with_.name != "none":
        raise DataError("The earth mover's distance reads nothing beside a gallery.", got=reads.with_, allowed="none")
    return Emd(settings)
