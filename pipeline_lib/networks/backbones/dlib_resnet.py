"""dlib's recogniser (King 2017, in the public domain): a residual network that was trained on 7,485 people, LFW's left out."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor, nn

from pipeline_lib.core.dlib_files import package_file, read_dlib_file, read_tensors
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.networks.backbones.shared.affine import Affine
from pipeline_lib.networks.backbones.shared.network import FaceNetwork, cells, channels_last
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.section import Positive

DESCRIPTION = "dlib's residual network, ResNet-29"
STACKABLE = False
FILE = "dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"

CHIP_PX = 150
MEAN = (122.782, 117.001, 104.298)  # of R, G, B in 0..255; what is left is divided by 256
CHANNELS = (32, 64, 128, 256, 256)  # a level each; the first block of every level but the first halves the map
BLOCKS = (3, 4, 3, 3, 1)
EMBEDDING_DIM = 128
# A pixel (x, y) of our crop is (SCALE x + LEFT, SCALE y + TOP) of dlib's chip: a similarity of the two templates' eyes and nose.
SCALE, LEFT, TOP = 1.491, -9.35, -29.80
# Pixels of the chip from one cell of a level's map to the next, and where the first cell's centre is: the 7x7 convolution and
# the maximum make 5 + 4 p of a cell p, and each halving 0.75 + 2 q, between its convolution's 1 + 2 q and its mean's 0.5 + 2 q.
MAPS = {8: (16, 14.0), 4: (32, 26.0)}


class Spec(NetworkSpec):
    """It comes in one size. `cells`: how many a side has of the map whose vectors are the patch features, 8 (128 channels) or
    4 (256). `published`: begin with dlib's weights, or with drawn ones.
    """

    arch: Literal["dlib_resnet"] = "dlib_resnet"
    embedding_dim: Positive = EMBEDDING_DIM
    cells: Literal[8, 4] = 8
    published: bool = True

    @model_validator(mode="after")
    def _published_weights_are_of_whole_faces(self) -> Self:
        if self.side_px != FACE_PX:
            raise ValueError(f"input_px {self.side_px}: dlib_resnet sees whole faces of {FACE_PX} px")
        if self.published and self.embedding_dim != EMBEDDING_DIM:
            raise ValueError(f"embedding_dim {self.embedding_dim}: dlib's weights have {EMBEDDING_DIM}")
        return self


class Block(nn.Module):
    """Residual block: convolution, affine, ReLU, convolution, affine; a halving one's first convolution has stride 2, no padding.

    The shortcut of a halving block is a 2x2 mean. Of the two summands the smaller is padded with zeros: channels behind, pixels
    on the right and below.
    """

    def __init__(self, num_in: int, num_out: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.conv1 = nn.Conv2d(num_in, num_out, 3, 2, 0) if halves else nn.Conv2d(num_in, num_out, 3, 1, 1)
        self.affine1 = Affine(num_out)
        self.conv2 = nn.Conv2d(num_out, num_out, 3, 1, 1)
        self.affine2 = Affine(num_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B,num_in,S,S) -> (B,num_out,S,S), or S // 2 each side if it halves."""
        out = self.affine2(self.conv2(F.relu(self.affine1(self.conv1(x)))))
        shortcut = F.avg_pool2d(x, 2) if self.halves else x
        side = max(out.shape[-1], shortcut.shape[-1])
        return F.relu(_padded(out, out.shape[1], side) + _padded(shortcut, out.shape[1], side))


def _padded(x: Tensor, channels: int, side: int) -> Tensor:
    missing = side - x.shape[-1]
    return F.pad(x, (0, missing, 0, missing, 0, channels - x.shape[1])) if missing or channels > x.shape[1] else x


class DlibResNet(FaceNetwork):
    """dlib's dnn_face_recognition_ex network on our crops, which are resampled to its 150 px chips inside.

    Its chip shows more below the chin than our crop has (8.6 px); there the crop's last row is repeated. The embedding is
    dlib's own descriptor, of which dlib compares Euclidean distances; it is not normalised and not centred.
    """

    rows: Tensor
    columns: Tensor
    mean: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.conv = nn.Conv2d(3, CHANNELS[0], 7, 2)
        self.affine = Affine(CHANNELS[0])
        levels = []
        for level, (num_in, num_out) in enumerate(pairwise((CHANNELS[0], *CHANNELS))):
            blocks = [Block(num_in, num_out, halves=level > 0)]
            blocks += [Block(num_out, num_out, halves=False) for _ in range(BLOCKS[level] - 1)]
            levels.append(nn.Sequential(*blocks))
        self.levels = nn.Sequential(*levels)
        self.fc = nn.Linear(CHANNELS[-1], spec.embedding_dim, bias=False)
        self.level = 3 if spec.cells == 8 else 4  # how many levels lead to the map of the patch features
        self.grid = cell_boxes(spec.cells)
        self.register_buffer("rows", torch.from_numpy(_resampling(TOP)), persistent=False)
        self.register_buffer("columns", torch.from_numpy(_resampling(LEFT)), persistent=False)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork; patch vectors (B,64,128) or (B,16,256), as spec.cells is 8 or 4."""
        return self.of_chips(self.chips(images))

    def chips(self, images: Tensor) -> Tensor:
        """What dlib's network sees of our crops: (B,3,112,112) in [-1,1] to RGB (B,3,150,150) in 0..255, bilinear."""
        return self.rows @ ((images + 1) * 127.5) @ self.columns.T

    def of_chips(self, chips: Tensor) -> tuple[Tensor, Tensor]:
        """As forward_with_patches, of RGB chips (B,3,150,150) in 0..255 such as dlib cuts."""
        x = channels_last((chips - self.mean) / 256)
        x = F.max_pool2d(F.relu(self.affine(self.conv(x))), 3, 2)
        seen = self.levels[: self.level](x)
        x = self.levels[self.level :](seen)
        return self.fc(x.mean(dim=(2, 3))), cells(seen)


def build(spec: Spec) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return DlibResNet(spec)


def published_weights() -> Mapping[str, Tensor]:
    """dlib's weights by the names of a DlibResNet's state dict.

    Raises:
        ParamsError: the package that has them is not installed.
        CheckpointError: its file is another one.
    """
    path = package_file(FILE)
    shapes = {name: value.shape for name, value in DlibResNet(Spec()).state_dict().items()}
    # In the file a convolution's filters and biases are one tensor, and an affine layer's gains and biases.
    pairs = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight") and name != "fc.weight"]
    stored: list[tuple[int, ...]] = [
        (shapes[f"{name}.weight"].numel() + shapes[f"{name}.bias"].numel(),) for name in pairs
    ]
    stored.append((CHANNELS[-1], EMBEDDING_DIM))
    tensors = [torch.from_numpy(values) for values in read_tensors(read_dlib_file(path, SHA256), stored)]
    weights = {"fc.weight": tensors[-1].T.contiguous()}
    for name, values in zip(pairs, tensors[:-1], strict=True):
        num = shapes[f"{name}.weight"].numel()
        weights[f"{name}.weight"] = values[:num].view(shapes[f"{name}.weight"])
        weights[f"{name}.bias"] = values[num:]
    return weights


def cell_boxes(side: int) -> npt.NDArray[np.int64]:
    """The share that each cell of a map of `side` x `side` has in our crop, row by row: int64 (side*side,4), x y w h px."""
    step, first = MAPS[side]
    edges = first + step * (np.arange(side + 1) - 0.5)
    places = (
        ((edges - shift) / SCALE).clip(0, FACE_PX) for shift in (LEFT, TOP)
    )  # the lowest of 4 rows looks beyond it
    x, y = (np.rint(place).astype(np.int64) for place in places)
    return np.array([(x[j], y[i], x[j + 1] - x[j], y[i + 1] - y[i]) for i in range(side) for j in range(side)])


def _resampling(shift: float) -> npt.NDArray[np.float32]:
    """(150,112): the bilinear weights that a chip's pixels have in a line of the crop, whose ends are repeated."""
    place = np.clip((np.arange(CHIP_PX) - shift) / SCALE, 0, FACE_PX - 1)
    weights: npt.NDArray[np.float32] = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(FACE_PX))).astype(np.float32)
    return weights
