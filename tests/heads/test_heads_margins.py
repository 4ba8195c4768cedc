"""Margin heads: goldens by hand, gradients, and the relations between them."""

import math

import pytest
import torch

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.heads.build import HeadSettings, build_head
from pipeline_lib.heads.softmax_margin import SoftmaxMarginHead

MARGINS = {"arcface": 0.5, "cosface": 0.4, "normface": 0.0}


def head_of(kind: str, num_classes: int, dim: int, scale: float = 8.0, gradient: str = "exact") -> SoftmaxMarginHead:
    head = build_head(HeadSettings(kind, scale, MARGINS[kind], gradient), dim, num_classes, seed=1)
    return head


@pytest.mark.parametrize(
    ("kind", "target"), [("arcface", "cos(pi/3 + 0.5)"), ("cosface", "0.5 - 0.4"), ("normface", "0.5")]
)
def test_golden(kind: str, target: str) -> None:
    head = head_of(kind, 2, 2, scale=2.0)
    head.weight.data = torch.tensor([[3.0, 0.0], [0.0, 0.1]])  # lengths must not matter
    embedding = torch.tensor([[5.0, 5.0 * math.sqrt(3)]])  # 60 degrees from class 0, 30 from class 1
    own = eval(target, {"cos": math.cos, "pi": math.pi})
    expected = math.log(1 + math.exp(2 * math.cos(math.pi / 6) - 2 * own))
    assert head(embedding, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)  # float32


def test_weights_start_small_and_normal() -> None:
    head = head_of("arcface", 400, 256)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(head.weight.mean().item()) < 1e-4
    assert torch.equal(head.weight, head_of("arcface", 400, 256).weight)


def test_loss_is_the_mean_over_the_batch() -> None:
    head = head_of("arcface", 5, 3)
    embeddings, labels = torch.randn(7, 3), torch.arange(7) % 5
    each = torch.stack([head(embeddings[i : i + 1], labels[i : i + 1]) for i in range(7)])
    torch.testing.assert_close(head(embeddings, labels), each.mean())


def test_embedding_length_does_not_matter() -> None:
    head = head_of("cosface", 5, 3)
    embeddings, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 3])
    torch.testing.assert_close(head(embeddings * 100, labels), head(embeddings, labels))


def test_margin_makes_the_loss_harder_and_no_margin_is_normface() -> None:
    embeddings, labels = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
    losses = [
        build_head(HeadSettings("arcface", 8.0, margin), 4, 3, seed=1)(embeddings, labels) for margin in (0.0, 0.2, 0.5)
    ]
    assert losses[0] < losses[1] < losses[2]
    torch.testing.assert_close(losses[0], head_of("normface", 3, 4)(embeddings, labels))


@pytest.mark.parametrize("kind", ["arcface", "cosface", "normface"])
def test_exact_gradients_are_those_of_finite_differences(kind: str) -> None:
    head = head_of(kind, 4, 3).double()
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 1])

    def target_cosines(cosines: torch.Tensor) -> torch.Tensor:
        return head.target_cosine(cosines)

    cosines = torch.linspace(-0.9, 0.9, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(target_cosines, cosines)

    # the whole head, which computes in float32, against float32 differences
    head = head.float()
    head.weight.data = weight.float()
    x = embeddings.float().requires_grad_()
    head(x, labels).backward()
    step = 1e-2
    for i, j in ((0, 0), (2, 1), (4, 2)):
        shifted = [
            embeddings.float().index_put((torch.tensor(i), torch.tensor(j)), x[i, j].detach() + d)
            for d in (step, -step)
        ]
        numeric = (head(shifted[0], labels) - head(shifted[1], labels)) / (2 * step)
        # second-order differences: step^2 times the third derivative (scale^3 at most), and float32 / step
        assert x.grad[i, j].item() == pytest.approx(numeric.item(), abs=3e-3)


def test_straight_through_gradient_is_s_times_p_minus_y() -> None:
    # dL/dcos_j = s (p_j - [j = y]) / B with the probabilities of the margined logits (METHODS section 3)
    head = head_of("arcface", 3, 3, scale=8.0, gradient="straight_through")
    head.weight.data = torch.eye(3)
    embedding = torch.nn.functional.normalize(torch.tensor([[0.6, 0.5, -0.2]])).requires_grad_()
    head(embedding, torch.tensor([0])).backward()
    with torch.no_grad():
        cosines = embedding[0]
        logits = 8.0 * torch.stack([torch.cos(torch.acos(cosines[0]) + 0.5), cosines[1], cosines[2]])
        slope = 8.0 * (logits.softmax(0) - torch.tensor([1.0, 0.0, 0.0]))
        # d cos / d embedding at unit length: only the part orthogonal to the embedding is left
        expected = slope - (slope @ cosines) * cosines
    torch.testing.assert_close(embedding.grad[0], expected, rtol=1e-5, atol=1e-6)


def test_exact_and_straight_through_agree_in_value_and_differ_in_gradient() -> None:
    embeddings, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    losses, gradients = [], []
    for gradient in ("exact", "straight_through"):
        x = embeddings.clone().requires_grad_()
        loss = head_of("arcface", 3, 4, gradient=gradient)(x, labels)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(x.grad)
    torch.testing.assert_close(*losses)
    assert (gradients[0] - gradients[1]).abs().max() > 1e-2


@pytest.mark.parametrize("gradient", ["exact", "straight_through"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_sample_on_its_class_weight_has_a_finite_gradient(gradient: str, sign: float) -> None:
    head = head_of("arcface", 3, 3, scale=64.0, gradient=gradient)
    x = (sign * head.weight.data[:1]).clone().requires_grad_()
    head(x, torch.tensor([0])).backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(head.weight.grad).all()


def test_computes_in_float32_under_autocast() -> None:
    head = head_of("arcface", 50, 16, scale=64.0)
    embeddings, labels = torch.randn(8, 16), torch.arange(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head(embeddings, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, head(embeddings, labels))
    assert head(embeddings.bfloat16(), labels).dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "num_classes", "key"),
    [
        (HeadSettings("sphereface", 64.0, 0.5), 3, "Unknown|unknown"),
        (HeadSettings("arcface", 0.0, 0.5), 3, "scale"),
        (HeadSettings("arcface", 64.0, -0.1), 3, "margin"),
        (HeadSettings("arcface", 64.0, 4.0), 3, "margin"),
        (HeadSettings("normface", 64.0, 0.1), 3, "margin"),
        (HeadSettings("cosface", math.nan, 0.1), 3, "scale"),
        (HeadSettings("arcface", 64.0, 0.5, "soft"), 3, "gradient"),
        (HeadSettings("arcface", 64.0, 0.5), 0, "num_classes"),
    ],
)
def test_impossible_heads_are_refused(settings: HeadSettings, num_classes: int, key: str) -> None:
    with pytest.raises(ParamsError, match=key):
        build_head(settings, 8, num_classes)
