"""Face-ViT: a transformer that sees the patches of two images together (Phan 2023, chapter 4; METHODS, section 7)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.pair_network import PairNetwork
from pipeline_lib.networks.over.shared.network import OverNetwork, Seen
from pipeline_lib.networks.over.shared.patch_tokens import PatchTokens, TransformerSettings, learned

DESCRIPTION = "Face-ViT, a transformer over two images' patches"


class Settings(TransformerSettings):
    """`output`: linear for model H2L, cls for model H2, whose embedding_dim is `dim`; otherwise see TransformerSettings."""

    arch: Literal["face_vit"] = "face_vit"
    output: Literal["linear", "cls"] = "linear"

    @property
    def learns_alone(self) -> bool:
        """H2 learns from the cross-entropy of genuine and impostor alone."""
        return self.output == "cls"


class PairEncoder(nn.Module):
    """The part above the frozen network: all that comparing patches takes.

        z_0 = [CLS, A x E, SEP, B x E] + positions                         (eq. 4.1)
        z_l = layer_l(z_{l-1}), l = 1 ... depth                            (eq. 4.2, 4.3; networks.backbones.shared.transformer)
        H2L: f_1 = norm_1(linear_1(z^A)), f_2 = norm_2(linear_2(z^B))      (eq. 4.4-4.6), of the patches of each side by side
             score = cos(f_1, f_2)
        H2:  score = 2 p - 1, p = sigmoid(classify(norm(z^CLS))) the probability that the two are one person

    Which image comes first changes the score a little, as positions and linear layers are each one's own. A mean of both orders
    would cost twice the time and verified no better (docs/results.md), so the order is a function of the two: the image whose
    tokens have the smaller sum comes first, and score(A, B) = score(B, A).

    Args:
        settings: see there.
        num_patches, channels: K and C of the patch features.
    """

    def __init__(self, settings: Settings, num_patches: int, channels: int) -> None:
        super().__init__()
        self.settings, self.num_patches, self.channels = settings, num_patches, channels
        dim = settings.dim
        self.tokens = PatchTokens(channels, dim)
        self.cls_token, self.sep_token = learned(1, 1, dim), learned(1, 1, dim)
        self.positions = learned(1, 2 * num_patches + 2, dim)
        self.layers = settings.layers()
        if settings.output == "linear":
            flat = (num_patches * dim, settings.embedding_dim)
            self.linears = nn.ModuleList(nn.Linear(*flat) for _ in range(2))
            self.norms = nn.ModuleList(nn.LayerNorm(settings.embedding_dim) for _ in range(2))
        else:
            self.norm, self.classify = nn.LayerNorm(dim), nn.Linear(dim, 1)

    def features(self, tokens_a: Tensor, tokens_b: Tensor) -> tuple[Tensor, Tensor]:
        """Of tokens (P,K,dim) of the first and second images: f_1 and f_2, (P,embedding_dim), or norm(z^CLS) twice."""
        first, between = (token.expand(len(tokens_a), -1, -1) for token in (self.cls_token, self.sep_token))
        z = self.layers(torch.cat([first, tokens_a, between, tokens_b], dim=1) + self.positions)
        if self.settings.output == "cls":
            found = self.norm(z[:, 0])
            return found, found
        own = z[:, 1 : 1 + self.num_patches], z[:, 2 + self.num_patches :]
        f_1, f_2 = (
            norm(linear(each.flatten(1))) for norm, linear, each in zip(self.norms, self.linears, own, strict=True)
        )
        return f_1, f_2

    def logits(self, features: Tensor) -> Tensor:
        """H2's float32 (P,) of norm(z^CLS) (P,dim)."""
        with torch.autocast(features.device.type, enabled=False):
            return self.classify(features.float())[:, 0]  # type: ignore[no-any-return]

    def compare(self, tokens_a: Tensor, tokens_b: Tensor) -> Tensor:
        """Scores, float32 (P,) in [-1,1], of the tokens (P,K,dim) of each pair's images.

        An image's tokens are the same in all its pairs, so that they are made (`self.tokens`) once.
        """
        turned = (tokens_a.sum(dim=(1, 2)) > tokens_b.sum(dim=(1, 2)))[:, None, None]
        f_1, f_2 = self.features(torch.where(turned, tokens_b, tokens_a), torch.where(turned, tokens_a, tokens_b))
        if self.settings.output == "cls":
            return torch.tanh(self.logits(f_1) / 2)
        return cosine_similarity(f_1.float(), f_2.float()).clamp(-1, 1)


class FaceViT(OverNetwork, PairNetwork):
    """Models H2L and H2 over a frozen network.

    H2L learns with the head on both outputs of a pair, each with its own image's identity (eq. 4.7); H2 from the binary
    cross-entropy of its logit and whether the pair is genuine. As a network of single images it gives (f_1 + f_2) / 2, or
    norm(z^CLS), of the face beside itself.
    """

    def __init__(self, settings: Settings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings, frozen)
        (self.below,) = settings.over
        self.grid = frozen[self.below].grid
        self.encoder = PairEncoder(settings, *self.shapes[self.below][1:])

    def from_seen(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """See OverNetwork, PairNetwork."""
        patches = seen[self.below][1]
        tokens = self.encoder.tokens(patches)
        f_1, f_2 = self.encoder.features(tokens, tokens)
        return (f_1 + f_2) / 2, patches

    def from_seen_with_loss(self, seen: Seen, *beside: Tensor) -> tuple[Tensor, Tensor | None]:
        """See OverNetwork; of 2P images, a pair in two rows, and labels (2P,)."""
        [labels] = beside
        tokens = self.encoder.tokens(seen[self.below][1])
        f_1, f_2 = self.encoder.features(tokens[0::2], tokens[1::2])
        embeddings = torch.stack([f_1, f_2], dim=1).flatten(0, 1)
        if self.encoder.settings.output == "linear":
            return embeddings, None
        is_genuine = (labels[0::2] == labels[1::2]).float()
        return embeddings, binary_cross_entropy_with_logits(self.encoder.logits(f_1), is_genuine)

    def compare(self, patches_a: Tensor, patches_b: Tensor) -> Tensor:
        """See PairNetwork."""
        return self.encoder.compare(self.encoder.tokens(patches_a), self.encoder.tokens(patches_b))


def build(settings: Settings, frozen: Mapping[str, FaceNetwork]) -> FaceNetwork:
    """The layers, with freshly drawn weights.

    Raises:
        ParamsError: embedding_dim of model H2 is given, and is not `dim`.
    """
    if settings.output == "cls":
        if "embedding_dim" in settings.model_fields_set and settings.embedding_dim != settings.dim:
            raise ParamsError(
                "The embedding of face_vit's cls is its class token.",
                got=f"embedding_dim {settings.embedding_dim}",
                allowed=f"{settings.dim}, or no such key",
                where="networks_over",
            )
        settings = settings.model_copy(update={"embedding_dim": settings.dim})
    return FaceViT(settings, frozen)
