"""From settings to a head."""

from dataclasses import dataclass

import torch

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.heads.arcface import ArcFace
from pipeline_lib.heads.cosface import CosFace
from pipeline_lib.heads.normface import NormFace
from pipeline_lib.heads.softmax_margin import SoftmaxMarginHead

KINDS = ("arcface", "cosface", "normface")


@dataclass(frozen=True)
class HeadSettings:
    """kind; scale s; margin m (radians for arcface, cosine for cosface, 0 for normface); gradient, arcface's alone."""

    kind: str
    scale: float
    margin: float
    gradient: str = "straight_through"


def build_head(settings: HeadSettings, embedding_dim: int, num_classes: int, seed: int = 0) -> SoftmaxMarginHead:
    """A head with class weights drawn from `seed`; PyTorch's global generator is left as it was.

    Raises:
        ParamsError: an unknown kind, or a value out of range.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if settings.kind == "arcface":
            return ArcFace(embedding_dim, num_classes, settings.scale, settings.margin, settings.gradient)
        if settings.kind == "cosface":
            return CosFace(embedding_dim, num_classes, settings.scale, settings.margin)
        if settings.kind == "normface":
            return NormFace(embedding_dim, num_classes, settings.scale, settings.margin)
    raise ParamsError("An unknown margin head.", got=settings.kind, allowed=KINDS, where="train.head.kind")
