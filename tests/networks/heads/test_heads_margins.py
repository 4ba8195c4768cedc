"""Margin heads: goldens by hand, gradients, statistics, and the relations between them."""

import math

import pytest
import torch

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead
from tests.networks.heads.some_heads import KINDS, settings

MARGINS = {
    "arcface": 0.5,
    "cosface": 0.4,
    "normface": 0.0,
    "adaface": 0.4,
    "curricularface": 0.5,
    "elasticface_arc": 0.5,
    "elasticface_cos": 0.35,
    "uniface": 0.4,
}
SIXTY, THIRTY = math.pi / 3, math.pi / 6


def head_of(kind: str, num_classes: int, dim: int, scale: float = 8.0, **own: object) -> SoftmaxMarginHead:
    """A head with METHODS' margin; arcface with the exact gradient unless said otherwise."""
    if kind == "arcface":
        own = {"gradient": "exact", **own}
    return build_head(settings(kind, scale, MARGINS[kind], **own), dim, num_classes, seed=1)


def noise_for(head: SoftmaxMarginHead, size: int) -> torch.Tensor | None:
    """Standard normal numbers if the head needs them."""
    return torch.randn(size, generator=torch.Generator().manual_seed(9)) if head.needs_noise else None


def at_sixty_and_thirty(head: SoftmaxMarginHead) -> torch.Tensor:
    """Class weights at 0 and 90 degrees, of lengths that must not matter, and an embedding of length 10 at 60 degrees."""
    head.weight.data = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    return torch.tensor([[5.0, 5.0 * math.sqrt(3)]])


def softmax_loss(own: float, other: float, scale: float = 2.0) -> float:
    """Cross-entropy of two scaled cosines."""
    return math.log(1 + math.exp(scale * (other - own)))


@pytest.mark.parametrize(
    ("kind", "own"), [("arcface", math.cos(SIXTY + 0.5)), ("cosface", 0.5 - 0.4), ("normface", 0.5)]
)
def test_golden(kind: str, own: float) -> None:
    head = head_of(kind, 2, 2, scale=2.0)
    loss = head(at_sixty_and_thirty(head), torch.tensor([0])).item()
    assert loss == pytest.approx(softmax_loss(own, math.cos(THIRTY)), abs=1e-6)  # float32


@pytest.mark.parametrize(
    ("mean", "std", "own"),
    [
        (40.0, 1.0, math.cos(SIXTY + 0.4)),  # much shorter than the mean: all of the margin on the angle
        (2.0, 1.0, math.cos(SIXTY - 0.4) - 0.8),  # much longer: twice the margin on the cosine
        (10.0, 1.0, 0.5 - 0.4),  # CosFace
        (11.0, 0.999, math.cos(SIXTY + 0.4 * 0.333) - 0.4 + 0.4 * 0.333),  # one deviation: h of the way
    ],
)
def test_golden_adaface(mean: float, std: float, own: float) -> None:
    head = head_of("adaface", 2, 2, scale=2.0).eval()
    head.norm_mean.fill_(mean)
    head.norm_std.fill_(std)
    loss = head(at_sixty_and_thirty(head), torch.tensor([0])).item()
    assert loss == pytest.approx(softmax_loss(own, math.cos(THIRTY)), abs=1e-6)  # float32


@pytest.mark.parametrize(
    ("other_degrees", "other"),
    [(30, math.cos(THIRTY) * (0.3 + math.cos(THIRTY))), (150, math.cos(5 * THIRTY))],
    ids=["hard", "easy"],
)
def test_golden_curricularface(other_degrees: float, other: float) -> None:
    head = head_of("curricularface", 2, 2, scale=2.0).eval()
    head.t.fill_(0.3)
    x = at_sixty_and_thirty(head)
    angle = math.radians(60 + other_degrees)
    head.weight.data[1] = torch.tensor([math.cos(angle), math.sin(angle)])
    loss = head(x, torch.tensor([0])).item()
    assert loss == pytest.approx(softmax_loss(math.cos(SIXTY + 0.5), other), abs=1e-6)  # float32


def test_curricularface_goes_on_falling_beyond_its_last_angle() -> None:
    head = head_of("curricularface", 2, 2)
    angles = torch.linspace(0.05, math.pi - 0.01, 400)
    moved = head.target_cosine(angles.cos(), torch.ones(400), None)
    assert (moved.diff() < 0).all()
    assert moved[-1].item() == pytest.approx(
        math.cos(math.pi - 0.01) - 0.5 * math.sin(math.pi - 0.5), abs=1e-6
    )  # float32
    # and where it has left cos(θ + m), that one still says what is hard: here cos(3.1 + 0.5) = -0.897
    own, others = torch.tensor([math.cos(3.1)]), torch.tensor([[-0.95, -0.85]])
    head.t.fill_(0.3)
    torch.testing.assert_close(head.other_cosines(others, own), torch.tensor([[-0.95, -0.85 * (0.3 - 0.85)]]))


@pytest.mark.parametrize(
    ("kind", "own"), [("elasticface_arc", math.cos(SIXTY + 0.5 + 2 * 0.05)), ("elasticface_cos", 0.5 - 0.35 - 2 * 0.05)]
)
def test_golden_elasticface_two_deviations_out(kind: str, own: float) -> None:
    head = head_of(kind, 2, 2, scale=2.0)
    loss = head(at_sixty_and_thirty(head), torch.tensor([0]), torch.tensor([2.0])).item()
    assert loss == pytest.approx(softmax_loss(own, math.cos(THIRTY)), abs=1e-6)  # float32


def test_golden_uniface() -> None:
    head = head_of("uniface", 2, 2, scale=2.0, negative_weight=3.0)
    assert head.bias.item() == pytest.approx(math.log(20), abs=1e-6)  # float32
    x = at_sixty_and_thirty(head)
    # s (cos - m) - b = 0.2 - 2.996 is cut to -2; s cos - b = 1.732 - 2.996 is not
    expected = math.log(1 + math.exp(2)) + 3 * math.log(1 + math.exp(2 * math.cos(THIRTY) - math.log(20)))
    assert head(x, torch.tensor([0])).item() == pytest.approx(expected, abs=1e-6)  # float32


def test_uniface_threshold_is_learned_and_starts_where_r_says() -> None:
    head = head_of("uniface", 100, 4, scale=64.0, r=0.1)
    assert head.bias.item() == pytest.approx(math.log(100), abs=1e-6)  # float32
    head(torch.randn(3, 4), torch.tensor([0, 1, 2])).backward()
    assert head.bias.grad.abs() > 0
    assert "bias" in head.state_dict()


def test_adaface_statistics_enter_before_use() -> None:
    head = head_of("adaface", 2, 2, t_alpha=0.25)
    embeddings = torch.tensor([[10.0, 0.0], [0.0, 30.0], [0.0, 5000.0]])  # the last is cut to 100
    labels = torch.tensor([0, 1, 0])
    head.observe(embeddings, labels)
    mean = (10 + 30 + 100) / 3
    std = math.sqrt(sum((n - mean) ** 2 for n in (10, 30, 100)) / 2)
    assert head.norm_mean.item() == pytest.approx(0.75 * 20 + 0.25 * mean, rel=1e-6)  # float32
    assert head.norm_std.item() == pytest.approx(0.75 * 100 + 0.25 * std, rel=1e-6)


def test_adaface_of_one_sample_and_of_equal_lengths() -> None:
    for embeddings in (torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 4.0], [0.0, 5.0]])):
        head = head_of("adaface", 2, 2, t_alpha=1.0)
        labels = torch.zeros(len(embeddings), dtype=torch.int64)
        head.observe(embeddings, labels)
        loss = head(embeddings, labels)
        assert head.norm_mean.item() == 5.0
        assert head.norm_std.item() == 0.0
        assert torch.isfinite(loss)


def test_curricularface_statistic_enters_before_use() -> None:
    head = head_of("curricularface", 2, 2, scale=2.0)
    x = at_sixty_and_thirty(head)
    head.observe(x, torch.tensor([0]))
    assert head.t.item() == pytest.approx(0.01 * 0.5, abs=1e-7)  # float32
    head.observe(x, torch.tensor([0]))
    assert head.t.item() == pytest.approx(0.99 * 0.005 + 0.005, abs=1e-7)


@pytest.mark.parametrize("kind", ["adaface", "curricularface"])
def test_statistics_move_with_observe_alone_and_travel_in_the_state_dict(kind: str) -> None:
    head = head_of(kind, 3, 4)
    embeddings, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    head.observe(embeddings, labels)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    loss = head(embeddings, labels)
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    other = head_of(kind, 3, 4)
    assert not torch.equal(other(embeddings, labels), loss)
    other.load_state_dict(before)
    assert torch.equal(other(embeddings, labels), loss)


@pytest.mark.parametrize("kind", KINDS)
def test_only_elasticface_needs_noise_and_none_draws_any(kind: str) -> None:
    head = head_of(kind, 3, 4)
    assert head.needs_noise == kind.startswith("elasticface")
    state = torch.random.get_rng_state()
    embeddings, labels, noise = torch.ones(2, 4), torch.tensor([0, 1]), noise_for(head, 2)
    losses = [head.eval()(embeddings, labels, noise) for _ in range(2)]
    assert torch.equal(*losses)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_elasticface_without_deviation_is_arcface_and_cosface() -> None:
    embeddings, labels = torch.randn(6, 4), torch.arange(6) % 3
    for elastic, rigid in (("elasticface_arc", "arcface"), ("elasticface_cos", "cosface")):
        still = settings(elastic, 8.0, 0.3, margin_std=0.0)
        loss = build_head(still, 4, 3)(embeddings, labels, torch.randn(6))
        torch.testing.assert_close(loss, build_head(settings(rigid, 8.0, 0.3), 4, 3)(embeddings, labels))


def test_weights_start_small_and_normal() -> None:
    head = head_of("arcface", 400, 256)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert abs(head.weight.mean().item()) < 1e-4
    assert torch.equal(head.weight, head_of("arcface", 400, 256).weight)


@pytest.mark.parametrize("kind", KINDS)
def test_loss_is_the_mean_over_the_batch(kind: str) -> None:
    head = head_of(kind, 5, 3).eval()
    embeddings, labels, noise = torch.randn(7, 3), torch.arange(7) % 5, noise_for(head, 7)
    each = [
        head(embeddings[i : i + 1], labels[i : i + 1], None if noise is None else noise[i : i + 1]) for i in range(7)
    ]
    torch.testing.assert_close(head(embeddings, labels, noise), torch.stack(each).mean())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "adaface"])
def test_embedding_length_does_not_matter(kind: str) -> None:
    head = head_of(kind, 5, 3).eval()
    embeddings, labels, noise = torch.randn(4, 3), torch.tensor([0, 1, 2, 3]), noise_for(head, 4)
    torch.testing.assert_close(head(embeddings * 100, labels, noise), head(embeddings, labels, noise))


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_does_not_change_an_embeddings_length(kind: str) -> None:
    # so adaface's margin, which knows the length, is a constant
    head = head_of(kind, 5, 3)
    x = torch.randn(4, 3, requires_grad=True)
    head(x, torch.tensor([0, 1, 2, 3]), noise_for(head, 4)).backward()
    # float32: both factors are of the order of 1 to 10
    torch.testing.assert_close((x * x.grad).sum(dim=1), torch.zeros(4), rtol=0, atol=1e-5)


def test_margin_makes_the_loss_harder_and_no_margin_is_normface() -> None:
    embeddings, labels = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
    losses = [
        build_head(settings("arcface", 8.0, margin), 4, 3, seed=1)(embeddings, labels) for margin in (0.0, 0.2, 0.5)
    ]
    assert losses[0] < losses[1] < losses[2]
    torch.testing.assert_close(losses[0], head_of("normface", 3, 4)(embeddings, labels))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_with_respect_to_the_cosines_are_those_of_finite_differences(kind: str) -> None:
    head = head_of(kind, 4, 3).double().eval()
    if kind == "curricularface":
        head.t.fill_(0.3)
    if kind == "adaface":
        head.norm_std.fill_(10.0)
    generator = torch.Generator().manual_seed(2)
    cosines = torch.rand(6, 4, generator=generator, dtype=torch.float64).mul_(1.8).sub_(0.9).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 1, 0])
    norms = torch.linspace(5, 40, 6, dtype=torch.float64)
    noise = torch.randn(6, generator=generator, dtype=torch.float64)

    def loss(cosines: torch.Tensor) -> torch.Tensor:
        return head.loss(head.logits(cosines, labels, norms, noise), labels)

    assert torch.autograd.gradcheck(loss, cosines)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_whole_head_are_those_of_finite_differences(kind: str) -> None:
    # the head computes in float32: against float32 differences, of a scale small enough for them
    head = head_of(kind, 4, 3, scale=4.0).eval()
    generator = torch.Generator().manual_seed(2)
    embeddings, noise = torch.randn(5, 3, generator=generator), noise_for(head, 5)
    head.weight.data = torch.randn(4, 3, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 1])
    x = embeddings.clone().requires_grad_()
    head(x, labels, noise).backward()
    step = 2e-3  # small enough that no negative turns from easy to hard within it, where curricularface jumps
    for i, j in ((0, 0), (2, 1), (4, 2)):
        shifted = [
            embeddings.index_put((torch.tensor(i), torch.tensor(j)), x[i, j].detach() + d) for d in (step, -step)
        ]
        numeric = (head(shifted[0], labels, noise) - head(shifted[1], labels, noise)) / (2 * step)
        # step^2 times the third derivative (scale^3 at most), and float32's 5e-7 of the loss / step: each under 3e-4
        assert x.grad[i, j].item() == pytest.approx(numeric.item(), abs=1e-3)


def test_straight_through_gradient_is_s_times_p_minus_y() -> None:
    # dL/dcos_j = s (p_j - [j = y]) / B with the probabilities of the margined logits (METHODS section 3)
    head = head_of("arcface", 3, 3, gradient="straight_through")
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


def test_straight_through_is_the_default_and_differs_from_exact_in_the_gradient_alone() -> None:
    embeddings, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    losses, gradients = [], []
    for gradient in ("exact", "straight_through", None):
        x = embeddings.clone().requires_grad_()
        own = {} if gradient is None else {"gradient": gradient}
        loss = build_head(settings("arcface", 8.0, 0.5, **own), 4, 3, seed=1)(x, labels)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(x.grad)
    torch.testing.assert_close(losses[0], losses[1])
    assert (gradients[0] - gradients[1]).abs().max() > 1e-2
    assert torch.equal(gradients[1], gradients[2])


@pytest.mark.parametrize("kind", [*KINDS, "arcface straight through"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_sample_on_its_class_weight_has_a_finite_gradient(kind: str, sign: float) -> None:
    own = {"gradient": "straight_through"} if kind.endswith("through") else {}
    head = head_of(kind.split(" ")[0], 3, 3, scale=64.0, **own)
    head.weight.data[1:] = -head.weight.data[:1]  # and on others'
    x = (sign * head.weight.data[:1]).clone().requires_grad_()
    head(x, torch.tensor([0]), noise_for(head, 1)).backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(head.weight.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_computes_in_float32_under_autocast(kind: str) -> None:
    head = head_of(kind, 50, 16, scale=64.0).eval()
    embeddings, labels, noise = torch.randn(8, 16), torch.arange(8), noise_for(head, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head(embeddings, labels, noise)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, head(embeddings, labels, noise))
    assert head(embeddings.bfloat16(), labels, noise).dtype == torch.float32


@pytest.mark.parametrize(
    ("kind", "scale", "margin", "own", "key"),
    [
        ("sphereface", 64.0, 0.5, {}, "got: sphereface[\\s\\S]*adaface, arcface"),
        ("arcface", 0.0, 0.5, {}, "scale"),
        ("arcface", 64.0, -0.1, {}, "margin"),
        ("arcface", 64.0, 4.0, {}, "margin"),
        ("cosface", 64.0, 2.1, {}, "margin"),
        ("normface", 64.0, 0.1, {}, "margin"),
        ("cosface", math.nan, 0.1, {}, "scale"),
        ("cosface", math.inf, 0.1, {}, "scale"),
        ("arcface", 64.0, 0.5, {"gradient": "soft"}, "gradient"),
        ("adaface", 64.0, 0.4, {"h": 0.0}, "h"),
        ("adaface", 64.0, 0.4, {"t_alpha": 0.0}, "t_alpha"),
        ("curricularface", 64.0, 0.5, {"t_alpha": 1.5}, "t_alpha"),
        ("elasticface_cos", 64.0, 0.35, {"margin_std": -0.1}, "margin_std"),
        ("uniface", 64.0, 0.4, {"negative_weight": math.inf}, "negative_weight"),
        ("uniface", 64.0, 0.4, {"r": 0.0}, "r"),
    ],
)
def test_impossible_heads_are_refused(kind: str, scale: float, margin: float, own: dict[str, object], key: str) -> None:
    with pytest.raises(ParamsError, match=rf"{key}[\s\S]*params\.yaml, head"):
        settings(kind, scale, margin, **own)


def test_a_head_has_classes() -> None:
    with pytest.raises(AssertionError, match="at least one class"):
        build_head(settings("arcface", 64.0, 0.5), 8, 0)
