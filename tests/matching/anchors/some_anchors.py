"""Anchors, entries and inputs of kinds, small and by hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.matching.anchors.shared.anchors import Anchors
from pipeline_lib.matching.anchors.shared.kind import Found, Inputs, TrainingFaces
from pipeline_lib.matching.anchors.shared.settings import anchor_kind
from pipeline_lib.params.align import Align
from pipeline_lib.params.anchors import Anchors as Entry

ALIGN = Align(detector="dlib", min_score=0.0, min_face_px=40, several_faces="reject", max_reject_share=0.0)
LID = {"hidden_dim": 8, "num_steps": 30, "batch_size": 8, "learning_rate": 1e-3, "decay_steps": []}


def entry(kind: str, source: str = "data/none", **changed: object) -> Entry:
    """An entry of params.anchors."""
    keys = {"kind": kind, "of": "networks", "network": "net", "from": source, "scale": 1.0, "num_neighbours": 2}
    return Entry.model_validate({**keys, "max_anchors": 50, "lid": LID, "seed": 0, **changed})


def mean_colours(images: np.ndarray) -> Floats:
    """A network that sees the mean colour."""
    return np.asarray(images.mean(axis=(1, 2)) + 1, np.float32)


def find(one: Entry, network: Path, identities: Sequence[str] = (), vectors: Floats | None = None) -> Found:
    """What the entry's kind finds with these training faces."""
    dims = np.eye(max(len(identities), 1), dtype=np.float32) if vectors is None else vectors
    faces = TrainingFaces([f"im{row}" for row in range(len(identities))], list(identities), dims)
    module, settings = anchor_kind(one, "params.yaml")
    found: Found = module.find(settings, Inputs(one, network, faces, mean_colours, 3, ALIGN, 10_000_000, 0))
    return found


def anchors(vectors: np.ndarray, identities: Sequence[str], k: int = 2, scale: float = 1.0) -> Anchors:
    """Named anchors of network net in state "d"."""
    names = list(identities)
    return Anchors([f"im-{name}" for name in names], names, unit(vectors), "net", scale, k, "real", "d")
