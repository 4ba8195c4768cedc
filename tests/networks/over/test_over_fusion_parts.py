"""What fusion is made of: the divergence, its gradient and Monte Carlo; grids brought to one."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones.dlib_resnet import cell_boxes
from pipeline_lib.networks.backbones.shared.network import cell_grid
from pipeline_lib.networks.over.shared.bottleneck import Bottleneck, divergence
from pipeline_lib.networks.over.shared.common_grid import brought, common_grid, lattice


def test_the_divergence_by_hand() -> None:
    """mu = (1, 0), sigma = (1, 2): (1 + 1 - 1 - 0)/2 + (4 + 0 - 1 - 2 ln 2)/2 = 0.5 + 0.806853; of N(0, I) itself 0."""
    mean, deviation = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[1.0, 2.0], [1.0, 1.0]])
    assert divergence(mean, deviation).tolist() == pytest.approx([1.3068528, 0.0], abs=1e-6)


def test_the_divergence_is_the_mean_log_ratio_of_densities() -> None:
    mean, deviation = torch.tensor([0.7, -0.4, 0.1]), torch.tensor([0.5, 1.3, 0.9])
    own = torch.distributions.Normal(mean.double(), deviation.double())
    drawn = mean + deviation * torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratios = (own.log_prob(drawn) - torch.distributions.Normal(0.0, 1.0).log_prob(drawn)).sum(dim=1)
    sure = 4 * float(ratios.std()) / 200_000**0.5
    assert divergence(mean[None], deviation[None]).item() == pytest.approx(float(ratios.mean()), abs=sure)


def test_the_divergence_has_its_gradient() -> None:
    """d/d mu = mu, d/d sigma = sigma - 1/sigma; and as finite differences have it, through the layers too."""
    mean = torch.tensor([[0.3, -2.0]], requires_grad=True)
    deviation = torch.tensor([[0.5, 2.0]], requires_grad=True)
    divergence(mean, deviation).sum().backward()
    assert mean.grad is not None
    assert deviation.grad is not None
    assert mean.grad[0].tolist() == pytest.approx([0.3, -2.0])
    assert deviation.grad[0].tolist() == pytest.approx([0.5 - 2.0, 2.0 - 0.5])
    layers = Bottleneck(3, 2)

    def total(features: torch.Tensor) -> float:
        with torch.no_grad():
            return float(divergence(*layers(features)).sum())

    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    divergence(*layers(z)).sum().backward()
    step = torch.zeros(2, 3)
    step[1, 2] = 1e-2
    assert z.grad is not None
    assert z.grad[1, 2].item() == pytest.approx((total(z + step) - total(z - step)) / 2e-2, rel=5e-3)  # float32


def test_deviations_stay_above_nothing_and_begin_small() -> None:
    layers = Bottleneck(2, 3)
    with torch.no_grad():
        layers.deviation.weight.zero_()
        layers.deviation.bias.copy_(torch.tensor([0.0, -1e4, 5.0]))
        _, deviation = layers(torch.ones(1, 2))
    assert deviation[0].tolist() == pytest.approx([0.0067153 + 1e-4, 1e-4, 0.6931472 + 1e-4], abs=1e-6)
    assert torch.isfinite(divergence(torch.zeros(1, 3), deviation)).all()


def test_which_boxes_are_a_lattice() -> None:
    assert lattice(cell_grid(7, 6, 16, 8)) == (7, 6)
    assert lattice(cell_boxes(4)) == (4, 4)
    assert lattice(cell_grid(2, 3, 8)[::-1]) is None  # listed backwards
    assert lattice(cell_grid(3, 3, 8)[:8]) is None
    assert lattice(np.array([[0, 0, 5, 5], [8, 8, 5, 5], [0, 8, 5, 5], [8, 0, 5, 5]])) is None  # not row by row


def test_the_coarser_grid_is_chosen_the_first_of_equals() -> None:
    grids = {"mobile": cell_grid(7, 6, 16, 8), "dlib": cell_boxes(4), "other": cell_boxes(4)}
    assert common_grid(grids) == ("dlib", (4, 4))
    with pytest.raises(ParamsError, match="odd"):
        common_grid({"odd": cell_grid(3, 3, 8)[1:]})


def test_cells_are_brought_by_the_area_that_they_share() -> None:
    """Two columns onto one that covers the first whole and a quarter of the second; a box beyond both takes the nearest."""
    source = np.array([[0, 0, 4, 4], [4, 0, 4, 4]])
    target = np.array([[0, 0, 5, 4], [20, 0, 4, 4], [0, 0, 8, 8]])
    assert brought(source, target).tolist() == [[pytest.approx(0.8), pytest.approx(0.2)], [0, 1], [0.5, 0.5]]


def test_bringing_equals_counting_pixels() -> None:
    source, target = cell_grid(7, 6, 16, 8), cell_boxes(4)
    owner = np.full((112, 112), -1)
    for number, (x, y, w, h) in enumerate(source):
        owner[y : y + h, x : x + w] = number
    found = brought(source, target)
    for row, (x, y, w, h) in enumerate(target):
        pixels = owner[y : y + h, x : x + w].ravel()
        counts = np.bincount(pixels[pixels >= 0], minlength=len(source))
        np.testing.assert_allclose(found[row], counts / counts.sum(), atol=1e-6)
    np.testing.assert_allclose(brought(source, source), np.eye(42), atol=0)
