"""dlib's convolutional face detector (King 2015, 2016; in the public domain) read into PyTorch: one score a cell of 8x8 px."""

import itertools

import torch
from torch import Tensor, nn

from pipeline_lib.core.dlib_files import package_file, read_dlib_file, read_tensors

FILE = "mmod_human_face_detector.dat"
SHA256 = "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"

CHANNELS = (3, 16, 32, 32, 45, 45, 45)  # of the picture and behind each 5x5 convolution
NUM_STRIDED = 3  # the first convolutions have stride 2 and no padding, the others stride 1 and keep the map's size
EPSILON = 1e-4  # of the batch normalisations

CELL_PX, FIRST_CELL_PX = 8, 14  # the centre of cell (x, y) is pixel (8x + 14, 8y + 14)
FIELD_PX = 29  # what the strided convolutions see of the picture for one cell, which begins at pixel (8x, 8y)
REACH_CELLS = 10  # how far around itself a cell looks in the map of the strided ones: 2 + 2 + 2 + 4


class MmodNetwork(nn.Module):
    """Six 5x5 convolutions, each with its batch normalisation folded into it and a ReLU behind it, and one 9x9 to the score."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = []
        for index, (num_in, num_out) in enumerate(itertools.pairwise(CHANNELS)):
            strided = index < NUM_STRIDED
            convolutions += [
                nn.Conv2d(num_in, num_out, 5, 2 if strided else 1, 0 if strided else 2),
                nn.ReLU(inplace=True),
            ]
        self.strided = nn.Sequential(*convolutions[: 2 * NUM_STRIDED])
        self.scored = nn.Sequential(*convolutions[2 * NUM_STRIDED :], nn.Conv2d(CHANNELS[-1], 1, 9, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the cells.

        Args:
            x: float32 (B,3,H,W), (RGB - mean) / 256 (mmod_pyramid.MEAN), H and W at least FIELD_PX.

        Returns:
            float32 (B,h,w), h = num_cells(H), w = num_cells(W).
        """
        scores: Tensor = self.scored(self.strided(x))
        return scores[:, 0]


def num_cells(side_px: int) -> int:
    """Cells along a side of the picture; 0 where it is too short for one."""
    return max(0, (side_px - FIELD_PX) // CELL_PX + 1)


def load_mmod() -> MmodNetwork:
    """The network with dlib's weights, in eval mode, its filters laid out channels last.

    dlib stores a convolution's filters and biases as one tensor, and of a batch normalisation gains and biases as one tensor,
    the last batch's means and inverse deviations, and the running means and variances, which it computes with once trained.

    Raises:
        ParamsError: the package that has the file is not installed.
        CheckpointError: the file is another one, or cut.
    """
    network = MmodNetwork()
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    shapes: list[tuple[int, ...]] = []
    for convolution in convolutions:
        channels = convolution.out_channels
        shapes.append((convolution.weight.numel() + channels,))
        if convolution is not convolutions[-1]:
            shapes += [(2 * channels,), *[(1, channels)] * 4]
    stored = iter(map(torch.from_numpy, read_tensors(read_dlib_file(package_file(FILE), SHA256), shapes)))
    for convolution in convolutions:
        channels = convolution.out_channels
        values = next(stored)
        weight, bias = values[:-channels].view_as(convolution.weight), values[-channels:]
        if convolution is not convolutions[-1]:
            gains_and_biases, _, _, (mean,), (variance,) = (next(stored) for _ in range(5))
            gain = gains_and_biases[:channels] / torch.sqrt(variance + EPSILON)
            weight = weight * gain[:, None, None, None]
            bias = (bias - mean) * gain + gains_and_biases[channels:]
        weight = weight.contiguous(memory_format=torch.channels_last)
        convolution.weight, convolution.bias = (nn.Parameter(tensor, requires_grad=False) for tensor in (weight, bias))
    return network.eval()
