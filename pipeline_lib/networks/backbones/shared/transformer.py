"""The encoder layer of vision transformers."""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, eq. 1).

        out = proj(concat_h softmax(q_h k_h^T / sqrt(d)) v_h)

    The heads' length d is free of the token length C, so that any number of heads goes with any C.
    """

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * num_heads * head_dim, bias=False)
        self.proj = nn.Linear(num_heads * head_dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B,T,C) -> (B,T,C)."""
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out: Tensor = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class Mlp(nn.Module):
    """Two linear layers around a GELU, at every token."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B,T,C) -> (B,T,C)."""
        return self.fc2(self.act(self.fc1(tokens)))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """z' = z + Attention(norm1(z)), then z' + MLP(norm2(z')) (ViT, Dosovitskiy et al. 2021, eq. 2, 3).

    Eq. 4.2 of the Face-ViT thesis prints z' without "+ z"; its public code has it. The MLP is four times as wide as the
    tokens. There is no dropout.
    """

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads, head_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B,T,C) -> (B,T,C)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]
