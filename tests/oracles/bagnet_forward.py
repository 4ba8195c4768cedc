"""BagNet in eval mode, one cell at a time from its own pixels: the oracle of backbones/bagnet.py."""

import torch
from torch import Tensor
from torch.nn import functional


def bagnet_cell(state: dict[str, Tensor], field: Tensor, num_blocks: list[int], strides: list[int]) -> Tensor:
    """The vector (C,) of the cell whose field is (3,F,F), by the public code's layer names, in float64.

    Kernel sizes are read off the weights; every convolution is a sum over shifted images. That the map comes down to
    one value a channel proves that the field is all that the cell sees.
    """
    state = {name: value.double() for name, value in state.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        scale = state[f"{name}.weight"] / torch.sqrt(state[f"{name}.running_var"] + 1e-5)
        return (x - state[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][
            :, None, None
        ]

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        kernel = weight.shape[-1]
        side = (x.shape[-1] - kernel) // stride + 1
        out = torch.zeros(len(weight), side, side, dtype=torch.float64)
        for row in range(kernel):
            for column in range(kernel):
                shifted = x[:, row : row + stride * (side - 1) + 1 : stride, column::stride][:, :, :side]
                out += torch.einsum("oi,ihw->ohw", weight[:, :, row, column], shifted)
        return out

    x = functional.relu(norm(conv(conv(field.double(), "conv1"), "conv2"), "bn1"))
    for stage, (count, stage_stride) in enumerate(zip(num_blocks, strides, strict=True), start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            stride = stage_stride if block == 0 else 1
            out = functional.relu(norm(conv(x, f"{name}.conv1"), f"{name}.bn1"))
            out = functional.relu(norm(conv(out, f"{name}.conv2", stride), f"{name}.bn2"))
            out = norm(conv(out, f"{name}.conv3"), f"{name}.bn3")
            if f"{name}.downsample.0.weight" in state:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            side = out.shape[-1]
            x = functional.relu(out + x[:, :side, :side])
    assert x.shape[1:] == (1, 1)
    return x[:, 0, 0]
