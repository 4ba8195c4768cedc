"""xCos: a cosine that is a weighted mean of the cosines of a face's places (Lin et al. 2021; METHODS, section 8)."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.network import OverNetwork, Seen
from pipeline_lib.networks.over.shared.settings import OverSettings
from pipeline_lib.params.section import Positive

DESCRIPTION = "xCos, a weighted mean of the cosines of cells"
ATTENTION_CHANNELS = 16


class Settings(OverSettings):
    """`channels` of a cell; `error_weight` of the squared error beside the head's loss. embedding_dim follows from the cells."""

    arch: Literal["xcos"] = "xcos"
    over: tuple[str]
    channels: Positive = 32
    error_weight: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 30.0


class XCos(OverNetwork):
    """Cells of the frozen network's patch map, their cosines, and the attention that weighs them.

        c_k = norm(W p_k)                              a cell of one face, `channels` values
        S_k = cos(c_k^A, c_k^B)                        of the same place in both
        W   = softmax over k of v·relu(U (h_k^A + h_k^B)) + b_k,   h_k = relu(H ĉ_k)
        xCos = Σ_k W_k S_k

    Trained with a margin head on all cells side by side and, beside it, the mean of (xCos - cos(e_A, e_B))² over all pairs of
    different images of a forward pass, e the frozen network's embeddings.

    The paper's 1x1 convolution is a linear layer on each cell, so any `grid` will do, an RRFNet's too; a normalisation centres
    its channels, for after a ReLU (dlib_resnet) all cells point one way. Attention is made of 1x1 convolutions, too (the paper's
    are 3x3), with a bias b_k that knows the place, and of the sum of both faces: xCos(A, B) = xCos(B, A).

    Args:
        settings: with the embedding_dim that K cells have.
        frozen: one network, whose `grid` this one has; its patch vectors are the cells, (B,K,channels).
    """

    def __init__(self, settings: Settings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings, frozen)
        self.error_weight = settings.error_weight
        self.explained = settings.over[0]
        self.grid = frozen[self.explained].grid
        self.convolution = nn.Linear(self.shapes[self.explained][2], settings.channels, bias=False)
        self.norm = nn.BatchNorm1d(settings.channels)
        self.single = nn.Linear(settings.channels, ATTENTION_CHANNELS)
        self.joint = nn.Linear(ATTENTION_CHANNELS, ATTENTION_CHANNELS)
        self.logit = nn.Linear(ATTENTION_CHANNELS, 1, bias=False)
        self.place = nn.Parameter(torch.zeros(len(self.grid)))

    def from_seen(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """See OverNetwork; the embedding is all cells side by side."""
        cells = self.cells(seen[self.explained][1])
        return cells.flatten(1), cells

    def from_seen_with_loss(self, seen: Seen, *beside: Tensor) -> tuple[Tensor, Tensor]:
        """See OverNetwork; of B >= 2 images."""
        targets, patches = seen[self.explained]
        cells = self.cells(patches)
        return cells.flatten(1), self.error_weight * self.squared_error(cells, targets)

    def cells(self, patches: Tensor) -> Tensor:
        """c_k (B,K,channels) of the frozen network's patch vectors (B,K,C). In eval mode the map is affine."""
        return self.norm(self.convolution(patches.flatten(0, 1))).view(*patches.shape[:2], -1)  # type: ignore[no-any-return]

    def compare(self, cells_a: Tensor, cells_b: Tensor) -> tuple[Tensor, Tensor]:
        """Attention W, >= 0 with sum 1, and cosines S in [-1,1], float32 (P,K) each, of the cells (P,K,channels) of P pairs."""
        with torch.autocast(cells_a.device.type, enabled=False):
            a, b = normalize(cells_a.float(), dim=-1), normalize(cells_b.float(), dim=-1)
            together = relu(self.single(a)) + relu(self.single(b))
            logits = self.logit(relu(self.joint(together)))[..., 0] + self.place
            return logits.softmax(dim=-1), (a * b).sum(dim=-1).clamp(-1, 1)

    def squared_error(self, cells: Tensor, targets: Tensor) -> Tensor:
        """The mean over all pairs i < j of (xCos - cosine of targets)², from cells (B,K,channels) and embeddings (B,D)."""
        i, j = torch.triu_indices(len(cells), len(cells), 1, device=cells.device)
        attention, cosines = self.compare(cells[i], cells[j])
        with torch.autocast(cells.device.type, enabled=False):
            unit = normalize(targets.float())
            return ((attention * cosines).sum(dim=-1) - (unit[i] * unit[j]).sum(dim=-1)).square().mean()


def build(settings: Settings, frozen: Mapping[str, FaceNetwork]) -> FaceNetwork:
    """The layers, with freshly drawn weights.

    Raises:
        ParamsError: embedding_dim is given, and is not cells x channels.
    """
    dim = len(frozen[settings.over[0]].grid) * settings.channels
    if "embedding_dim" in settings.model_fields_set and settings.embedding_dim != dim:
        raise ParamsError(
            "The embedding of xCos is its cells side by side.",
            got=f"embedding_dim {settings.embedding_dim}",
            allowed=f"{dim}, or no such key",
            where="networks_over",
        )
    return XCos(settings.model_copy(update={"embedding_dim": dim}), frozen)
