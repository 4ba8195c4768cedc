"""A vision transformer from its state dict, with loops over images, heads and queries: oracle of backbones/vit.py."""

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.float64]


def vit_forward(
    state: dict[str, Tensor], images: Tensor, depth: int, num_heads: int, token_px: int
) -> tuple[Array, Array]:
    """Embeddings (B,D) and tokens (B,T,C) of images (B,3,S,S), in float64."""
    weights = {name: value.double().numpy() for name, value in state.items()}
    embeddings, tokens = zip(
        *(_forward_one(weights, image, depth, num_heads, token_px) for image in images.double().numpy()), strict=True
    )
    return np.stack(embeddings), np.stack(tokens)


def _forward_one(w: dict[str, Array], image: Array, depth: int, num_heads: int, token_px: int) -> tuple[Array, Array]:
    side = image.shape[-1] // token_px
    z = [w["cls_token"][0, 0]]
    for row in range(side):
        for column in range(side):
            square = image[
                :, row * token_px : (row + 1) * token_px, column * token_px : (column + 1) * token_px
            ]  # channel, y, x: the order of a convolution's kernel
            kernels = w["patch_embed.proj.weight"].reshape(len(z[0]), -1)
            z.append(kernels @ square.ravel() + w["patch_embed.proj.bias"])
    x = np.stack(z) + w["pos_embed"][0]
    for layer in range(depth):
        name = f"blocks.{layer}"
        x = x + _attention(w, f"{name}.attn", _norm(w, f"{name}.norm1", x), num_heads)
        hidden = _linear(w, f"{name}.mlp.fc1", _norm(w, f"{name}.norm2", x))
        gelu = np.vectorize(lambda value: value * 0.5 * (1 + math.erf(value / math.sqrt(2))))
        x = x + _linear(w, f"{name}.mlp.fc2", gelu(hidden))
    x = _norm(w, "norm", x)
    vector = _linear(w, "fc", x[0])
    scale = w["features.weight"] / np.sqrt(w["features.running_var"] + 1e-5)
    return (vector - w["features.running_mean"]) * scale + w["features.bias"], x[1:]


def _attention(w: dict[str, Array], name: str, x: Array, num_heads: int) -> Array:
    q, k, v = np.split(x @ w[f"{name}.qkv.weight"].T, 3, axis=1)
    heads = []
    for of_q, of_k, of_v in zip(*(np.split(part, num_heads, axis=1) for part in (q, k, v)), strict=True):
        rows = []
        for query in of_q:
            logits = np.array([query @ key for key in of_k]) / math.sqrt(len(query))
            odds = np.exp(logits - logits.max())
            rows.append(odds / odds.sum() @ of_v)
        heads.append(np.stack(rows))
    return _linear(w, f"{name}.proj", np.concatenate(heads, axis=1))


def _linear(w: dict[str, Array], name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _norm(w: dict[str, Array], name: str, x: Array) -> Array:
    mean = x.mean(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]
