"""From settings to a head."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.heads.adaface import AdaFace
from pipeline_lib.networks.heads.arcface import ArcFace
from pipeline_lib.networks.heads.cosface import CosFace
from pipeline_lib.networks.heads.curricularface import CurricularFace
from pipeline_lib.networks.heads.elasticface import ElasticArcFace, ElasticCosFace
from pipeline_lib.networks.heads.normface import NormFace
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead
from pipeline_lib.networks.heads.uniface import UniFace

HEADS: dict[str, tuple[Callable[..., SoftmaxMarginHead], tuple[str, ...]]] = {  # and the settings that are its own
    "arcface": (ArcFace, ("gradient",)),
    "cosface": (CosFace, ()),
    "normface": (NormFace, ()),
    "adaface": (AdaFace, ("h", "t_alpha")),
    "curricularface": (CurricularFace, ("t_alpha",)),
    "elasticface_arc": (ElasticArcFace, ("margin_std",)),
    "elasticface_cos": (ElasticCosFace, ("margin_std",)),
    "uniface": (UniFace, ("negative_weight", "r")),
}
OWN_SETTINGS = ("gradient", "h", "t_alpha", "margin_std", "negative_weight", "r")


@dataclass(frozen=True)
class HeadSettings:
    """The `train.head` section of params.yaml; a setting of other kinds must be None, one of its own may be: its default.

    Args:
        kind: a key of HEADS.
        scale: s.
        margin: m; radians for arcface, adaface, curricularface, elasticface_arc, cosine for cosface, elasticface_cos,
            uniface, 0 for normface.
        gradient: arcface's, straight_through or exact; straight_through by default.
        h: adaface's concentration; 0.333 by default.
        t_alpha: weight of a batch in the running statistics of adaface and curricularface; 0.01 by default.
        margin_std: standard deviation of elasticface's margins, in the margin's unit; 0.05 by default.
        negative_weight: l of uniface; 1 by default.
        r: uniface's threshold starts at ln(10 C r); 1 by default.
    """

    kind: str
    scale: float
    margin: float
    gradient: str | None = None
    h: float | None = None
    t_alpha: float | None = None
    margin_std: float | None = None
    negative_weight: float | None = None
    r: float | None = None


def build_head(settings: HeadSettings, embedding_dim: int, num_classes: int, seed: int = 0) -> SoftmaxMarginHead:
    """A head with class weights drawn from `seed`; PyTorch's global generator is left as it was.

    Raises:
        ParamsError: an unknown kind, a setting of another kind, or a value out of range.
    """
    if settings.kind not in HEADS:
        raise ParamsError("An unknown margin head.", got=settings.kind, allowed=tuple(HEADS), where="train.head.kind")
    head, own = HEADS[settings.kind]
    given = {key: value for key in OWN_SETTINGS if (value := getattr(settings, key)) is not None}
    for key, value in given.items():
        if key not in own:
            raise ParamsError(
                f"The margin head {settings.kind} has no {key}.",
                got=value,
                allowed=f"kind, scale, margin{''.join(f', {name}' for name in own)}",
                where=f"train.head.{key}",
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return head(embedding_dim, num_classes, settings.scale, settings.margin, **given)
