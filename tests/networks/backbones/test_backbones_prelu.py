"""Our PReLU gradient against PyTorch's."""

import pytest
import torch

from pipeline_lib.networks.backbones.shared import prelu
from pipeline_lib.networks.backbones.shared.prelu import PReLU


def gradients(layer: torch.nn.PReLU, x: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, ...]:
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    (y * weights).sum().backward()
    return y.detach(), x.grad, layer.weight.grad


@pytest.mark.parametrize(
    "shape", [(3, 8, 5, 7), (3, 4, 6, 7), (1, 1, 1, 1), (2, 16, 1, 1), (1, 3, 9, 9), (2, 1, 4, 4), (0, 4, 2, 2)]
)
def test_values_and_gradients_are_pytorchs(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prelu, "CHUNK_VALUES", 60)  # many chunks, and a last one that is not full
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
    if x.numel():
        x[0, 0, 0, 0] = 0.0  # the kink
    weights = torch.randn(shape, generator=generator)
    ours, theirs = PReLU(shape[1]), torch.nn.PReLU(shape[1])
    slopes = torch.linspace(-0.5, 1.5, shape[1])
    ours.weight.data.copy_(slopes)
    theirs.weight.data.copy_(slopes)
    for found, expected in zip(gradients(ours, x, weights), gradients(theirs, x, weights), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # the order of float32 sums


def test_golden() -> None:
    layer = PReLU(1)
    layer.weight.data.fill_(0.25)
    x = torch.tensor([-2.0, 3.0, -4.0, 1.0]).view(1, 1, 2, 2).contiguous(memory_format=torch.channels_last)
    weights = torch.tensor([1.0, 10.0, 100.0, 1000.0]).view(1, 1, 2, 2)
    y, grad_x, grad_weight = gradients(layer, x, weights)
    assert y.flatten().tolist() == [-0.5, 3.0, -1.0, 1.0]
    assert grad_x.flatten().tolist() == [0.25, 10.0, 25.0, 1000.0]
    assert grad_weight.tolist() == [-2.0 - 400.0]


def test_our_gradient_is_the_one_that_runs_on_channels_last_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prelu._ChunkedPReLU, "backward", staticmethod(lambda ctx, grad: (grad * 7, None)))
    x = torch.ones(1, 2, 3, 3).contiguous(memory_format=torch.channels_last)
    assert (gradients(PReLU(2), x, torch.ones(1, 2, 3, 3))[1] == 7).all()
    contiguous = torch.ones(2, 2, 3, 3).contiguous()
    assert (gradients(PReLU(2), contiguous, torch.ones(2, 2, 3, 3))[1] == 1).all()


def test_compiled_it_is_pytorchs_whose_gradient_has_no_chunks_to_unroll() -> None:
    graphs: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph.code)
        return graph

    x = torch.randn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = torch.compile(PReLU(8), backend=backend, fullgraph=True)(x)
    torch.testing.assert_close(y, torch.where(x > 0, x, 0.25 * x))
    assert len(graphs) == 1
    assert "prelu" in graphs[0]
    assert "autograd_function_apply" not in graphs[0]
