"""DeepFace-EMD: the earth mover's distance between the patches of two faces (thesis, section 3.1; METHODS, section 7)."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.patches import (
    UnitPatches,
    landmark_shares,
    less_mean_cells,
    pool_grid,
    pooled_boxes,
    unit_patches,
)
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.matching.rerankers.shared.reranker import (
    Compared,
    Floats,
    Indices,
    PatchFaces,
    Reads,
    Reranker,
)
from pipeline_lib.networks.embeddings.means import read_means
from pipeline_lib.params.section import AboveZero, Positive, Section
from pipeline_lib.params.transport import Weights

Pool = Literal[1, 2]
CPU = torch.device("cpu")


class Settings(Section):
    """`weights` of the patches; `pool` averages the grid pool x pool, of queries and gallery if it is a pair; the rest as in
    emd.sinkhorn.Sinkhorn. `less_mean`: the mean of training images is taken off each cell. `exact`: the optimum
    without regularisation, by linear programming, for small galleries.
    """

    weights: Weights
    pool: Pool | tuple[Pool, Pool]
    regularisation: AboveZero
    tolerance: AboveZero
    max_iterations: Positive
    less_mean: bool = False
    exact: bool = False

    @property
    def pools(self) -> tuple[Pool, Pool]:
        """Of the queries and of the gallery."""
        return self.pool if isinstance(self.pool, tuple) else (self.pool, self.pool)


class Emd(Reranker):
    """Σ T·cos at the optimal flow T; pairs in which an image has no weight at all are not carried.

    Args:
        settings: see there.
        means: float32 (K, C), of training images' cells, where settings.less_mean.
        device: where flows are solved.
    """

    def __init__(self, settings: Settings, means: Floats | None = None, device: torch.device = CPU) -> None:
        self.settings, self._means, self._device = settings, means, device
        self.sinkhorn = Sinkhorn(settings.regularisation, settings.tolerance, settings.max_iterations)
        if device.type == "cuda":  # which solves thousands of pairs at once
            self.num_queries, self.num_gallery = 64, 8192

    def prepare(self, faces: PatchFaces, are_queries: bool) -> UnitPatches:
        """See Reranker."""
        patches, grid = faces.patches, faces.grid
        if self._means is not None:
            patches = less_mean_cells(patches, self._means)
        if self.settings.pools[0 if are_queries else 1] == 2:
            patches, grid = pool_grid(patches, grid), pooled_boxes(grid)
        name, shares = faces.keys.__getitem__, None
        if self.settings.weights == "lmk" and faces.landmarks is not None:
            shares = landmark_shares(faces.landmarks, grid, name)
        vectors = faces.vectors if self.settings.weights == "cc" else None
        return unit_patches(patches, name, vectors, shares).to(self._device)

    def compare(
        self, queries: UnitPatches, gallery: UnitPatches, pairs: Indices, names: Callable[[int], str]
    ) -> Compared:
        """See Reranker.

        Where no patch of one image resembles the other, no weighting exists: among a hundred candidates that is an impostor's
        normal case.
        """
        similarity, converged = emd_similarities(
            queries,
            gallery,
            pairs,
            self.settings.weights,
            self.sinkhorn,
            names,
            skip_weightless=True,
            exact=self.settings.exact,
        )
        return Compared(similarity, converged, ~np.isnan(similarity))


def check_grid(settings: Settings, grid: npt.NDArray[np.int64]) -> None:
    """Refuse a network by its patch grid, int64 (K, 4), before it is trained; raises DataError."""
    if 2 in settings.pools:
        pooled_boxes(grid)


def open_reranker(settings: Settings, reads: Reads) -> Reranker:
    """One that needs nothing but the settings and, for `less_mean`, the means of its gallery's network.

    Raises:
        DataError: the entry names something to read beside them, or there are no means.
    """
    if reads.with_.name != "none":
        raise DataError("The earth mover's distance reads nothing beside a gallery.", got=reads.with_, allowed="none")
    return Emd(settings, read_means(reads.gallery).patches if settings.less_mean else None, reads.device)
