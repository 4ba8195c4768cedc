"""Flows and weights between a query and a gallery face, from the patch maps that the gallery keeps: no network is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.matching.emd.patches import pooled_boxes
from pipeline_lib.matching.emd.sinkhorn import transport
from pipeline_lib.matching.emd.weights import raw_weights
from pipeline_lib.matching.rerankers.emd import Emd
from pipeline_lib.matching.rerankers.shared.reranker import KINDS, PatchFaces, Reads
from pipeline_lib.matching.retrieval.stored_faces import stored_faces
from pipeline_lib.networks.embeddings.store import PATCHES_FILE, read_embeddings
from pipeline_lib.params.rerank import Rerank
from pipeline_lib.why.explanation.shared.flow_pictures import flow_picture, weight_picture

EMD = "emd"
Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Flow:
    """What one face sends to another.

    Attributes:
        plan: float32 (N, M).
        weights: float32 (N,) and (M,), each summing to 1.
        grids: int64 (N, 4) and (M, 4), x y w h px.
    """

    plan: npt.NDArray[np.float32]
    weights: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
    grids: tuple[Boxes, Boxes]

    def drawn(self, query: Image, face: Image) -> Image:
        """The query put together from the face's cells (see flow_picture)."""
        return flow_picture(query, face, self.plan, *self.grids)

    def weighed(self, query: Image, face: Image) -> tuple[Image, Image]:
        """Both with their cells' weights laid over (see weight_picture)."""
        first, second = zip((query, face), self.weights, self.grids, strict=True)
        return weight_picture(*first), weight_picture(*second)


class Flows:
    """The flows of an entry of kind emd.

    Args:
        data: the folder that the stages wrote to.
        entry: its params, as metrics.json keeps them.

    Raises:
        DataError: a file of the gallery is missing or damaged.
    """

    def __init__(self, data: Path, entry: Mapping[str, Any]) -> None:
        params, self._folder = Rerank.model_validate(entry), data / "gallery" / str(entry["network"])
        kind, settings = kind_settings(KINDS, params.kind, params.own, "metrics.json")
        self._reranker: Emd = kind.open_reranker(
            settings, Reads(self._folder, data / params.with_, torch.device("cpu"))
        )
        self._store = read_embeddings(self._folder)

    def between(self, query_key: str, gallery_key: str) -> Flow | None:
        """The optimal flow from a query to a gallery face; None where a face has no weight at all, so that nothing flows."""
        faces = [
            stored_faces(self._store, self._folder, [key]).patches(np.array([0])) for key in (query_key, gallery_key)
        ]
        a, b = (self._reranker.prepare(face, are_queries=side == 0) for side, face in enumerate(faces))
        raw = raw_weights(self._reranker.settings.weights, a, b)
        if min(float(weights.sum()) for weights in raw) <= 0:
            return None
        weights = raw[0] / raw[0].sum(), raw[1] / raw[1].sum()
        found = transport((a.unit @ b.unit.mT).clamp(-1, 1), *weights, self._reranker.sinkhorn)
        grids = [self._grid(face, side) for side, face in enumerate(faces)]
        first, second = (values[0].numpy() for values in weights)
        return Flow(found.plan[0].numpy(), (first, second), (grids[0], grids[1]))

    def _grid(self, face: PatchFaces, side: int) -> Boxes:
        return pooled_boxes(face.grid) if self._reranker.settings.pools[side] == 2 else face.grid


def open_flows(data: Path, entry: Mapping[str, Any]) -> Flows | None:
    """The flows of an entry; None where it compares by something else, or an earlier rebuild left it and its gallery is gone."""
    has_maps = (data / "gallery" / str(entry["network"]) / PATCHES_FILE).is_file()
    return Flows(data, entry) if entry["kind"] == EMD and has_maps else None
