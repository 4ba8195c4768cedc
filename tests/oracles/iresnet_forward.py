"""IResNet in eval mode straight from a state dict, written without modules: the oracle of backbones/iresnet.py."""

import torch
from torch import Tensor
from torch.nn import functional


def iresnet_forward(state: dict[str, Tensor], images: Tensor, num_blocks: list[int], first_stride: int) -> Tensor:
    """Embeddings (B,D) of images (B,3,S,S) by the public ArcFace code's layer names, in float64 and contiguous memory."""
    state = {name: value.double() for name, value in state.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var = state[f"{name}.running_mean"].view(shape), state[f"{name}.running_var"].view(shape)
        return (x - mean) / torch.sqrt(var + 1e-5) * state[f"{name}.weight"].view(shape) + state[f"{name}.bias"].view(
            shape
        )

    def prelu(x: Tensor, name: str) -> Tensor:
        return torch.where(x > 0, x, x * state[f"{name}.weight"].view(1, -1, 1, 1))

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    x = prelu(norm(conv(images.double(), "conv1"), "bn1"), "prelu")
    for stage, count in enumerate(num_blocks, start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            stride = (first_stride if stage == 1 else 2) if block == 0 else 1
            out = prelu(norm(conv(norm(x, f"{name}.bn1"), f"{name}.conv1"), f"{name}.bn2"), f"{name}.prelu")
            out = norm(conv(out, f"{name}.conv2", stride), f"{name}.bn3")
            if f"{name}.downsample.0.weight" in state:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = x + out
    x = norm(x, "bn2").reshape(len(x), -1) @ state["fc.weight"].T + state["fc.bias"]
    return norm(x, "features")
