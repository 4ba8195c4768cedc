"""Face-ViT of two images written out: one pair, one token and one head at a time, float64, from a state dict."""

import numpy as np
from scipy.special import erf

Array = np.ndarray


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    """Of one vector."""
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * weight + bias


def features(state: dict[str, Array], first: Array, second: Array, depth: int, heads: int) -> dict[str, Array]:
    """f1 and f2 of H2L, or the class token and logit of H2, for the patches (K,C) of two images, in this order."""
    w = {name: np.asarray(value, np.float64) for name, value in state.items()}

    def token(patch: Array) -> Array:
        return (
            w["tokens.proj.weight"] @ layer_norm(patch, w["tokens.norm.weight"], w["tokens.norm.bias"])
            + w["tokens.proj.bias"]
        )

    z = [w["cls_token"][0, 0], *map(token, first), w["sep_token"][0, 0], *map(token, second)]
    z = [each + place for each, place in zip(z, w["positions"][0], strict=True)]
    for number in range(depth):
        layer = {name.removeprefix(f"layers.{number}."): value for name, value in w.items()}
        normed = [layer_norm(each, layer["norm1.weight"], layer["norm1.bias"]) for each in z]
        qkv = np.stack([layer["attn.qkv.weight"] @ each for each in normed]).reshape(len(z), 3, heads, -1)
        attended = []
        for i in range(len(z)):
            of_heads = []
            for head in range(heads):
                logits = np.array([qkv[i, 0, head] @ qkv[j, 1, head] for j in range(len(z))]) / np.sqrt(qkv.shape[3])
                shares = np.exp(logits - logits.max())
                of_heads.append(sum(share * qkv[j, 2, head] for j, share in enumerate(shares / shares.sum())))
            attended.append(layer["attn.proj.weight"] @ np.concatenate(of_heads) + layer["attn.proj.bias"])
        z = [each + more for each, more in zip(z, attended, strict=True)]
        for i, each in enumerate(z):
            hidden = (
                layer["mlp.fc1.weight"] @ layer_norm(each, layer["norm2.weight"], layer["norm2.bias"])
                + layer["mlp.fc1.bias"]
            )
            hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
            z[i] = each + layer["mlp.fc2.weight"] @ hidden + layer["mlp.fc2.bias"]
    if "classify.weight" in w:
        found = layer_norm(z[0], w["norm.weight"], w["norm.bias"])
        return {"cls": found, "logit": w["classify.weight"][0] @ found + w["classify.bias"][0]}
    num = len(first)
    own = np.concatenate(z[1 : 1 + num]), np.concatenate(z[2 + num :])
    return {
        f"f{side + 1}": layer_norm(
            w[f"linears.{side}.weight"] @ each + w[f"linears.{side}.bias"],
            w[f"norms.{side}.weight"],
            w[f"norms.{side}.bias"],
        )
        for side, each in enumerate(own)
    }
