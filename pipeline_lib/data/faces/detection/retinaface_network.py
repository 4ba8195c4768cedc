"""RetinaFace (Deng et al. 2020): feature pyramid, context modules and the three heads, on either backbone."""

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.data.faces.detection.retinaface_backbones import Chain, Mask, MobileNetQuarterBody, ResNet50Body

STRIDES = (8, 16, 32)
ANCHORS_PER_CELL = 2


@dataclass(frozen=True)
class Variant:
    """What differs between the two published networks.

    Attributes:
        channels: of the pyramid.
        anchor_px: the two square anchors of each cell, px, at strides 8, 16, 32.
        reach_px: faces above this are seen in parts only, since they outgrow the largest anchor.
        mean, std: per RGB channel, on the scale 0..255; the published network's input is (rgb - mean) / std.
        swap_to_bgr: the network reads the channels in the order blue, green, red.
    """

    channels: int
    anchor_px: tuple[tuple[int, int], ...]
    reach_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    swap_to_bgr: bool


VARIANTS = {
    # The package retinaface-pytorch feeds RGB with the ImageNet statistics, on 0..1.
    "resnet50": Variant(
        channels=256,
        anchor_px=((16, 32), (64, 128), (256, 512)),
        reach_px=768,  # by analogy: half as much again as the largest anchor
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        swap_to_bgr=False,
    ),
    # biubug6's 1 MB detector feeds BGR less (104, 117, 123). The same author's Pytorch_Retinaface has a MobileNet whose
    # checkpoint has these very names and shapes, but leaky rectifiers and anchors from 16 to 512 px: a state dict says
    # nothing of either, so that file would load here and detect badly.
    "mobilenet": Variant(
        channels=64,
        anchor_px=((10, 20), (32, 64), (128, 256)),
        reach_px=384,  # measured on enlarged LFW: 100 % found at 260 px, 93 % at 390 px, 43 % at 520 px
        mean=(123.0, 117.0, 104.0),
        std=(1.0, 1.0, 1.0),
        swap_to_bgr=True,
    ),
}


class Pyramid(nn.Module):
    """Feature pyramid: 1x1 convolutions to one width, then coarse maps added to finer ones (nearest neighbour)."""

    def __init__(self, in_channels: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.output1 = _conv(in_channels[0], channels, 1)
        self.output2 = _conv(in_channels[1], channels, 1)
        self.output3 = _conv(in_channels[2], channels, 1)
        self.merge1 = _conv(channels, channels, 3)
        self.merge2 = _conv(channels, channels, 3)

    def forward(self, maps: list[Tensor], inside: Mask) -> list[Tensor]:
        """Three maps, fine to coarse -> three maps of `channels`, same sizes."""
        outputs = (self.output1, self.output2, self.output3)
        fine, middle, coarse = (output(level, inside) for output, level in zip(outputs, maps, strict=True))
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest"), inside)
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest"), inside)
        return [fine, middle, coarse]


class Context(nn.Module):
    """Context module (Najibi et al. 2017, SSH): 3x3, 5x5 and 7x7 fields as chains of 3x3, side by side.

    The parameters' names, with their two spellings of 7x7, are the checkpoints'.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        self.conv3X3 = _conv(channels, channels // 2, 3, rectified=False)
        self.conv5X5_1 = _conv(channels, quarter, 3)
        self.conv5X5_2 = _conv(quarter, quarter, 3, rectified=False)
        self.conv7X7_2 = _conv(quarter, quarter, 3)
        self.conv7x7_3 = _conv(quarter, quarter, 3, rectified=False)

    def forward(self, x: Tensor, inside: Mask) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        shared = self.conv5X5_1(x, inside)
        wide = self.conv7x7_3(self.conv7X7_2(shared, inside), inside)
        return torch.cat([self.conv3X3(x, inside), self.conv5X5_2(shared, inside), wide], dim=1).relu_()


class Head(nn.Module):
    """1x1 convolution to `size` numbers for each anchor."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.conv1x1 = nn.Conv2d(channels, ANCHORS_PER_CELL * size, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, H * W * 2, size), cells row by row, the anchors of a cell side by side."""
        outputs: Tensor = self.conv1x1(x)
        return outputs.permute(0, 2, 3, 1).reshape(len(x), -1, self.size)


class RetinaFace(nn.Module):
    """Box offsets, class logits and landmark offsets of every anchor; retinaface_boxes decodes them.

    Its tensors are those of a checkpoint; load_retinaface makes of them the network that computes.

    Args:
        variant: "resnet50" or "mobilenet", see VARIANTS.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = VARIANTS[variant]
        body = ResNet50Body() if variant == "resnet50" else MobileNetQuarterBody()
        channels = self.variant.channels
        self.body = body
        self.fpn = Pyramid(body.out_channels, channels)
        self.ssh1, self.ssh2, self.ssh3 = (Context(channels) for _ in STRIDES)
        self.ClassHead = nn.ModuleList(Head(channels, 2) for _ in STRIDES)
        self.BboxHead = nn.ModuleList(Head(channels, 4) for _ in STRIDES)
        self.LandmarkHead = nn.ModuleList(Head(channels, 10) for _ in STRIDES)
        self.register_buffer("mean", torch.tensor(self.variant.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.variant.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor, inside: Mask) -> tuple[Tensor, Tensor, Tensor]:
        """Raw outputs for A anchors: box offsets (B, A, 4), logits (B, A, 2; background, face), landmarks (B, A, 10).

        Args:
            rgb: float32 (B, 3, H, W) in 0..255, channels last.
            inside: see retinaface_batches.Inside.
        """
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        levels = self.fpn(self.body(rgb - self.mean, inside), inside)
        maps = [context(level, inside) for context, level in zip(contexts, levels, strict=True)]
        boxes, logits, landmarks = (
            torch.cat([head(level) for head, level in zip(heads, maps, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, logits, landmarks


def load_retinaface(variant: str, state: dict[str, Tensor], where: object) -> RetinaFace:
    """Build the network in eval mode, channels last, with the tensors of a published checkpoint.

    Batch normalisations are folded into the convolutions before them, and the input's scale and order of channels into the first
    one. That spares a pass over each map: a third of the time of a batch on one core.

    Args:
        variant: "resnet50" or "mobilenet".
        state: name -> tensor; a leading `module.` (saved from a DataParallel) is dropped.
        where: the checkpoint, named in the error.

    Raises:
        CheckpointError: a tensor is missing, unknown, or of another shape.
    """
    network = RetinaFace(variant)
    try:
        network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    except RuntimeError as error:
        raise CheckpointError(
            f"The checkpoint is not one of RetinaFace {variant}.", got=error, allowed="exactly its tensors", where=where
        ) from None
    network.eval().requires_grad_(False)
    _fold(network)
    first = next(module for module in network.body.modules() if isinstance(module, nn.Conv2d))
    weight = first.weight / network.std
    first.weight = nn.Parameter(weight.flip(1) if network.variant.swap_to_bgr else weight, requires_grad=False)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _fold(module: nn.Module) -> None:
    """Every batch normalisation into the convolution that stands before it in the same module."""
    for (name, convolution), (name_of_norm, norm) in itertools.pairwise([*module.named_children()]):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, name_of_norm, nn.Identity())
    for child in module.children():
        _fold(child)


def _conv(in_channels: int, out_channels: int, size: int, rectified: bool = True) -> Chain:
    """Convolution, batch norm and, if `rectified`, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if rectified:
        layers.append(nn.ReLU(inplace=True))
    return Chain(*layers)
