"""The two feature extractors of RetinaFace; parameter names are those of the published checkpoints."""

from collections.abc import Callable

from torch import Tensor, nn

Mask = Callable[[Tensor], Tensor]  # retinaface_batches.Inside: zeros beyond the pictures of a batch


class Chain(nn.Sequential):
    """Modules one behind the other; what a convolution wider than 1x1 sees goes through the mask first."""

    def forward(self, x: Tensor, inside: Mask) -> Tensor:  # type: ignore[override]
        """(B, C, H, W) -> what the last module gives."""
        for module in self:
            if isinstance(module, Chain | Bottleneck):
                x = module(x, inside)
            else:
                x = module(inside(x) if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1) else x)
        return x


class Bottleneck(nn.Module):
    """Residual block 1x1, 3x3 (stride), 1x1 of ResNet-50 (He et al. 2016), expanding `channels` four times.

    The stride is on the 3x3 convolution, as in the checkpoint, not on the first 1x1 as in the paper.
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor, inside: Mask) -> Tensor:
        """(B, C, H, W) -> (B, 4 channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu_()
        x = self.bn2(self.conv2(inside(x))).relu_()
        x = self.bn3(self.conv3(x)) + shortcut
        return x.relu_()


class ResNet50Body(nn.Module):
    """ResNet-50 without its classifier; gives the maps at strides 8, 16 and 32."""

    out_channels = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, num_blocks=3, stride=1)
        self.layer2 = _stage(256, 128, num_blocks=4, stride=2)
        self.layer3 = _stage(512, 256, num_blocks=6, stride=2)
        self.layer4 = _stage(1024, 512, num_blocks=3, stride=2)

    def forward(self, x: Tensor, inside: Mask) -> list[Tensor]:
        """(B, 3, H, W) -> maps of 512, 1024 and 2048 channels."""
        # Nothing is negative here, so that the zeros beyond a picture are to the maximum what its own padding is.
        x = self.maxpool(inside(self.bn1(self.conv1(inside(x))).relu_()))
        stride_8 = self.layer2(self.layer1(x, inside), inside)
        stride_16 = self.layer3(stride_8, inside)
        return [stride_8, stride_16, self.layer4(stride_16, inside)]


def _stage(in_channels: int, channels: int, num_blocks: int, stride: int) -> Chain:
    blocks = [Bottleneck(in_channels, channels, stride)]
    blocks += [Bottleneck(4 * channels, channels, 1) for _ in range(num_blocks - 1)]
    return Chain(*blocks)


class MobileNetQuarterBody(nn.Module):
    """MobileNet (Howard et al. 2017) at width 0.25; gives the maps at strides 8, 16 and 32."""

    out_channels = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        first = Chain(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.stage1 = Chain(first, *_separable_chain([(8, 1), (16, 2), (32, 1), (32, 2), (64, 1)], last=64))
        self.stage2 = Chain(*_separable_chain([(64, 2), (128, 1), (128, 1), (128, 1), (128, 1), (128, 1)], last=128))
        self.stage3 = Chain(*_separable_chain([(128, 2), (256, 1)], last=256))

    def forward(self, x: Tensor, inside: Mask) -> list[Tensor]:
        """(B, 3, H, W) -> maps of 64, 128 and 256 channels."""
        stride_8 = self.stage1(x, inside)
        stride_16 = self.stage2(stride_8, inside)
        return [stride_8, stride_16, self.stage3(stride_16, inside)]


def _separable_chain(inputs: list[tuple[int, int]], last: int) -> list[nn.Module]:
    """Depthwise separable blocks of these (input channels, stride); each one's output is the next one's input."""
    outputs = [channels for channels, _ in inputs[1:]] + [last]
    return [_separable(channels, out, stride) for (channels, stride), out in zip(inputs, outputs, strict=True)]


def _separable(in_channels: int, out_channels: int, stride: int) -> Chain:
    return Chain(
        nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
