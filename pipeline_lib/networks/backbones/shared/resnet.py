"""What residual networks share, whatever their blocks."""

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

STAGE_CHANNELS = (64, 128, 256, 512)


class Projection(nn.Conv2d):
    """1x1 convolution of every stride-th pixel, the first part of a block's shortcut; equal to a strided one.

    The pixels are picked first: oneDNN 3.12, which PyTorch 2.13 computes with on CPUs, writes beyond its workspace in
    the weight gradient of strided 1x1 convolutions over channels_last maps with fewer input channels than its vectors
    hold (16 with AVX-512), and crashes (github.com/uxlfoundation/oneDNN/issues/6035; seen here at 8 channels).

    A 1x1 mean picks them, not a slice: a slice's gradient is contiguous, whatever the map was, and turns the sums of
    gradients that it enters contiguous down to the first layer. There batch normalisation's gradient leaves PyTorch's
    vectorised kernel: measured at a tenth of a training step of RRFNet-28 on the CPU.
    """

    def __init__(self, num_in: int, num_out: int, stride: int) -> None:
        super().__init__(num_in, num_out, 1, bias=False)
        self.every = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B,num_in,H,W) -> (B,num_out,ceil(H/stride),ceil(W/stride))."""
        return super().forward(x if self.every == 1 else avg_pool2d(x, 1, self.every))
