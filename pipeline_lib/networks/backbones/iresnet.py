"""IResNet, the residual network of ArcFace, on whole faces or, with a first stride of 1, on patches."""

from typing import Literal

from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork, cell_grid, cells, channels_last, scaled_channels
from pipeline_lib.networks.backbones.shared.prelu import PReLU
from pipeline_lib.networks.backbones.shared.resnet import STAGE_CHANNELS, Projection
from pipeline_lib.networks.backbones.shared.spec import BLOCK_PRESETS, Blocks, NetworkSpec
from pipeline_lib.params.section import AboveZero

DESCRIPTION = "IResNet, ArcFace's residual network"
STACKABLE = True


class Spec(NetworkSpec):
    """`blocks` residual blocks in the four stages; `width` multiplies their channels, 64, 128, 256, 512."""

    arch: Literal["iresnet"] = "iresnet"
    blocks: Blocks = BLOCK_PRESETS["r18"]
    width: AboveZero = 1.0


class Block(nn.Module):
    """Residual block bn-conv-bn-prelu-conv-bn; the stride sits in the second convolution (ArcFace, "IR")."""

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(num_in)
        self.conv1 = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(num_out)
        self.prelu = PReLU(num_out)
        self.conv2 = nn.Conv2d(num_out, num_out, 3, stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(num_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or num_in != num_out:
            self.downsample = nn.Sequential(Projection(num_in, num_out, stride), nn.BatchNorm2d(num_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B,num_in,H,W) -> (B,num_out,ceil(H/stride),ceil(W/stride))."""
        out = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        out = self.bn3(self.conv2(out))
        return out.add_(x if self.downsample is None else self.downsample(x))  # type: ignore[no-any-return]


class IResNet(FaceNetwork):
    """IResNet with the state-dict layout of ArcFace's public code, so that its published checkpoints load strictly.

    conv1 3x3 stride 1, bn1, prelu, four stages, bn2, fc, `features` (BatchNorm1d, its weight frozen at 1). The maps are
    S/2, S/4, S/8, S/16 wide for first_stride 2 and S, S/2, S/4, S/8 (rounded up) for 1 (RRFNet Table I). `width`
    multiplies the channels (scaled_channels). The public code's dropout before fc has rate 0 in all its recipes, holds
    no weights, and is left out. Patch features are the cells of the last map after bn2, the values fc sees.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        channels = [scaled_channels(num, spec.width) for num in STAGE_CHANNELS]
        self.conv1 = nn.Conv2d(3, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.prelu = PReLU(channels[0])
        num_in, map_px = channels[0], spec.input_px
        stages = []
        for num_out, num_blocks, stride in zip(channels, spec.blocks, (spec.first_stride, 2, 2, 2), strict=True):
            blocks = [Block(num_in, num_out, stride)]
            blocks += [Block(num_out, num_out, 1) for _ in range(num_blocks - 1)]
            stages.append(nn.Sequential(*blocks))
            num_in, map_px = num_out, -(-map_px // stride)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(num_in)
        self.fc = nn.Linear(num_in * map_px * map_px, spec.embedding_dim)
        self.features = nn.BatchNorm1d(spec.embedding_dim)
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.1)  # the public code's; normalisation follows every convolution
        self.grid = cell_grid(map_px, map_px, spec.input_px // map_px)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork; patch vectors (B,map*map,C of the last stage)."""
        x = self.prelu(self.bn1(self.conv1(channels_last(images))))
        x = self.bn2(self.layer4(self.layer3(self.layer2(self.layer1(x)))))
        return self.features(self.fc(x.flatten(1))), cells(x)


def build(spec: Spec) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return IResNet(spec)
