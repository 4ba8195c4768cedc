"""One vector that looks at the places of a map."""

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.transformer import Mlp


class CrossLayer(nn.Module):
    """z' = z + Attention(norm1(z); norm_map(M)), then z' + MLP(norm2(z')), with queries from z, keys and values from a map M.

    The layer of a transformer encoder (backbones.shared.transformer) but for where its keys and values come from.
    """

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1, self.norm_map, self.norm2 = (nn.LayerNorm(dim) for _ in range(3))
        self.query = nn.Linear(dim, num_heads * head_dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * num_heads * head_dim, bias=False)
        self.proj = nn.Linear(num_heads * head_dim, dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """(B,T,dim) and a map (B,K,dim) -> (B,T,dim)."""
        q = self.query(self.norm1(tokens)).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        k, v = self.key_value(self.norm_map(places)).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        tokens = tokens + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.norm2(tokens))  # type: ignore[no-any-return]
