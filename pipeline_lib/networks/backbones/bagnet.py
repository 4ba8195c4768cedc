"""BagNet: a ResNet without padding and with few 3x3 convolutions; a cell sees 17 or 33 px (Brendel & Bethge 2019)."""

from typing import Literal

from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork, cell_grid, cells, channels_last, scaled_channels
from pipeline_lib.networks.backbones.shared.resnet import STAGE_CHANNELS, Projection
from pipeline_lib.networks.backbones.shared.spec import BLOCK_PRESETS, Blocks, NetworkSpec
from pipeline_lib.params.section import AboveZero

DESCRIPTION = "BagNet, a ResNet whose cells see a square of field_px each"
STACKABLE = True
STRIDES = (2, 2, 2, 1)
STEP_PX = 8  # the product of STRIDES: how far the fields of two neighbouring cells are apart
FIRST_KERNELS = {17: (3, 3, 3, 1), 33: (3, 3, 3, 3)}  # by field, of each stage's first block; all others are 1x1
EXPANSION = 4


class Spec(NetworkSpec):
    """`blocks` bottlenecks in the four stages; `width` multiplies their channels; a cell sees `field_px`."""

    arch: Literal["bagnet"] = "bagnet"
    field_px: Literal[17, 33]
    blocks: Blocks = BLOCK_PRESETS["r18"]
    width: AboveZero = 1.0

    @property
    def min_px(self) -> int:
        """One field."""
        return self.field_px


class Bottleneck(nn.Module):
    """1x1, kernel x kernel without padding, 1x1, each normalised; the shortcut is cropped at the bottom and right."""

    def __init__(self, num_in: int, num_hidden: int, kernel: int, stride: int, project: bool) -> None:
        super().__init__()
        num_out = EXPANSION * num_hidden
        self.conv1 = nn.Conv2d(num_in, num_hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(num_hidden)
        self.conv2 = nn.Conv2d(num_hidden, num_hidden, kernel, stride, bias=False)
        self.bn2 = nn.BatchNorm2d(num_hidden)
        self.conv3 = nn.Conv2d(num_hidden, num_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(num_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if project:
            self.downsample = nn.Sequential(Projection(num_in, num_out, stride), nn.BatchNorm2d(num_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B,num_in,H,W) -> (B,4*num_hidden,H',W'), H' = (H - kernel) // stride + 1."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(out + shortcut[:, :, : out.shape[2], : out.shape[3]])  # type: ignore[no-any-return]


class BagNet(FaceNetwork):
    """BagNet-17 or -33 as a face network, with the state-dict layout of its public code up to the classifier.

    conv1 1x1, conv2 3x3, bn1, relu, four stages of bottlenecks with strides 2, 2, 2, 1. A cell's field grows by 2 px
    times the stride so far at each 3x3 convolution: 1 + 2 (stem) + 2 + 4 + 8 = 17, and + 16 in BagNet-33's last stage.
    Fields lie 8 px apart, so 112x112 has (112 - 17) // 8 + 1 = 12 or (112 - 33) // 8 + 1 = 10 of them a row. On patches
    the strides stay, unlike IResNet's: a smaller one would make the field another than the name says. The paper's
    ResNet-50 has blocks 3-4-6-3.

    The embedding is the mean of the cells v_i, fc, and `features` (BatchNorm1d, its weight frozen at 1, as in IResNet):
    the published network's average pooling, and the layers that end an IResNet in place of its 1000 classes. Both are
    affine in eval mode, so e = mean_i features(fc(v_i)): like RRFNet's, a cosine is a sum over pairs of fields. Patch
    features are the v_i (4 * 512 * width channels).

    Deviations: fields are centred on the image, half of what they leave over (7 of 112 px) before them; the public code
    loses all of it at the bottom and right. So mirroring a face mirrors its cells. The momentum of bn1 is 0.1, not
    0.001, with which its statistics would need thousands of steps.

    Attributes:
        grid: each cell's 8x8 px share of the image, half a pixel off its field's centre; its own mirror image.
        fields: int64 (K,4), x y w h in px: what each cell sees.
    """

    additive = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        channels = [scaled_channels(num, spec.width) for num in STAGE_CHANNELS]
        self.conv1 = nn.Conv2d(3, channels[0], 1, bias=False)
        self.conv2 = nn.Conv2d(channels[0], channels[0], 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        num_in = channels[0]
        stages = []
        shapes = zip(channels, spec.blocks, STRIDES, FIRST_KERNELS[spec.field_px], strict=True)
        for num_hidden, num_blocks, stride, kernel in shapes:
            num_out = EXPANSION * num_hidden
            blocks = [Bottleneck(num_in, num_hidden, kernel, stride, project=True)]
            blocks += [Bottleneck(num_out, num_hidden, 1, 1, project=False) for _ in range(num_blocks - 1)]
            stages.append(nn.Sequential(*blocks))
            num_in = num_out
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(num_in, spec.embedding_dim)
        self.features = nn.BatchNorm1d(spec.embedding_dim)
        self.features.weight.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        field_px = spec.field_px
        num_cells = (spec.input_px - field_px) // STEP_PX + 1
        seen_px = field_px + STEP_PX * (num_cells - 1)
        margin_px = (spec.input_px - seen_px) // 2
        self.seen = slice(margin_px, margin_px + seen_px)
        left_px = (spec.input_px - STEP_PX * num_cells) // 2
        self.grid = cell_grid(num_cells, num_cells, STEP_PX, left_px, left_px)
        self.fields = cell_grid(num_cells, num_cells, STEP_PX, margin_px, margin_px)
        self.fields[:, 2:] = field_px

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork; patch vectors (B,K,4*C of the last stage)."""
        x = channels_last(images[:, :, self.seen, self.seen])
        x = self.relu(self.bn1(self.conv2(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(x.mean(dim=(2, 3)))), cells(x)

    def additive_patches(self, patches: Tensor) -> Tensor:
        """See FaceNetwork: features(fc(v_i)), affine in eval mode."""
        assert not self.training, "in training, features is no map of single cells"
        local: Tensor = self.features(self.fc(patches.flatten(0, -2)))
        return local.view(*patches.shape[:-1], -1)


def build(spec: Spec) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return BagNet(spec)
