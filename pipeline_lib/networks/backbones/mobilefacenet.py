"""MobileFaceNet: at 112x96 the small published network that proves detection, alignment and protocol; or on patches."""

from typing import Literal

from torch import Tensor, nn

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.networks.backbones.shared.network import FaceNetwork, cell_grid, cells, channels_last
from pipeline_lib.networks.backbones.shared.prelu import PReLU
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec

DESCRIPTION = "MobileFaceNet, small, with depthwise convolutions"
STACKABLE = True
# Expansion, channels, repeats, stride of the first repeat (METHODS section 2).
BOTTLENECKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
CROP_LEFT_PX, CROP_RIGHT_PX = 8, 104  # the 112x96 face is the 112x112 one without 8 columns on either side


class Spec(NetworkSpec):
    """It comes in one width and depth."""

    arch: Literal["mobilefacenet"] = "mobilefacenet"


class ConvBlock(nn.Module):
    """Convolution, batch normalisation and, unless `linear`, PReLU."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        groups = num_in if depthwise else 1
        self.conv = nn.Conv2d(num_in, num_out, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(num_out)
        self.prelu = None if linear else PReLU(num_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B,num_in,H,W) -> (B,num_out,H',W')."""
        out: Tensor = self.bn(self.conv(x))
        return out if self.prelu is None else self.prelu(out)


class Bottleneck(nn.Module):
    """Inverted residual: 1x1 expansion, 3x3 depthwise, 1x1 linear projection; skipped over where the shape stays."""

    def __init__(self, num_in: int, num_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        num_hidden = num_in * expansion
        self.connect = stride == 1 and num_in == num_out
        self.conv = nn.Sequential(
            nn.Conv2d(num_in, num_hidden, 1, bias=False),
            nn.BatchNorm2d(num_hidden),
            PReLU(num_hidden),
            nn.Conv2d(num_hidden, num_hidden, 3, stride, 1, groups=num_hidden, bias=False),
            nn.BatchNorm2d(num_hidden),
            PReLU(num_hidden),
            nn.Conv2d(num_hidden, num_out, 1, bias=False),
            nn.BatchNorm2d(num_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B,num_in,H,W) -> (B,num_out,ceil(H/stride),ceil(W/stride))."""
        out: Tensor = self.conv(x)
        return x + out if self.connect else out


class MobileFaceNet(FaceNetwork):
    """MobileFaceNet (Chen et al. 2018, Table 1) with the keys of the published PyTorch checkpoint.

    It was trained on RGB (rgb - 127.5) / 128 of 112x96 faces; its input here is that of every network, (B,3,112,112) in
    [-1,1], which is rescaled by 127.5 / 128 and cropped to columns 8..104 inside. Patch features are the 7x6 cells of
    conv2's map (512 channels), each 16x16 px.

    On patches conv1 has stride 1, as RRFNet's Table I has it for IResNet, nothing is cropped, and linear7's kernel is
    as large as its map: 7x7 for 56 px, 4x4 for 28 px (each map half the one before, rounded up).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        is_face = spec.input_px == FACE_PX
        self.columns = slice(CROP_LEFT_PX, CROP_RIGHT_PX) if is_face else slice(None)
        self.conv1 = ConvBlock(3, 64, 3, spec.first_stride, 1)
        self.dw_conv1 = ConvBlock(64, 64, 3, 1, 1, depthwise=True)
        blocks, num_in, map_px = [], 64, -(-spec.input_px // spec.first_stride)
        for expansion, num_out, repeats, first_stride in BOTTLENECKS:
            for repeat in range(repeats):
                blocks.append(Bottleneck(num_in, num_out, first_stride if repeat == 0 else 1, expansion))
                num_in = num_out
            map_px = -(-map_px // first_stride)
        map_columns = map_px - 1 if is_face else map_px  # the 16 cropped columns are one cell
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = ConvBlock(num_in, 512, 1)
        self.linear7 = ConvBlock(512, 512, (map_px, map_columns), depthwise=True, linear=True)
        self.linear1 = ConvBlock(512, spec.embedding_dim, 1, linear=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        left_px = CROP_LEFT_PX if is_face else 0
        self.grid = cell_grid(map_px, map_columns, spec.input_px // map_px, left_px)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork; patch vectors (B,K,512), K = 42 for a whole face."""
        x = channels_last(images[..., self.columns] * (127.5 / 128))
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(x))))
        return self.linear1(self.linear7(x)).flatten(1), cells(x)


def build(spec: Spec) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return MobileFaceNet(spec)
