"""PartialFC in a world of one: samples, steps, accumulation, memory; tests/distributed has the worlds of 2 and 3."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.class_sample import class_range, random_numbers, sample_classes
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC, draw_weights
from tests.networks.heads.some_heads import KINDS, settings

ARCFACE = settings("arcface", 8.0, 0.3)
SOFTMAX_KINDS = [kind for kind in KINDS if kind != "uniface"]


def batch(seed: int, size: int = 8, num_classes: int = 20, dim: int = 6) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(size, dim, generator=generator) * 5,
        torch.randint(num_classes, (size,), generator=generator),
        torch.randn(size, generator=generator),
    )


@pytest.mark.parametrize("kind", SOFTMAX_KINDS)
def test_at_rate_one_it_is_the_whole_head_with_sgd(kind: str) -> None:
    given = settings(kind, 8.0, 0.0 if kind == "normface" else 0.3)
    partial, whole = PartialFC(given, 6, 20, rate=1.0), build_head(given, 6, 20)
    whole.weight.data = partial.weight.clone()
    optimiser = torch.optim.SGD([whole.weight], lr=0.1, momentum=0.9, weight_decay=5e-4)
    assert partial.needs_noise == whole.needs_noise
    for step in range(3):
        embeddings, labels, noise = batch(step)
        x, z = embeddings.clone().requires_grad_(), embeddings.clone().requires_grad_()
        losses = partial(x, labels, noise), whole(z, labels, noise)
        optimiser.zero_grad()
        for loss in losses:
            loss.backward()
        partial.sgd_step(0.1, 0.9, 5e-4)
        optimiser.step()
        # the same float32 sums in another order; the weights' gradients are up to s / |w| = 8 / 0.02
        torch.testing.assert_close(*losses, rtol=1e-5, atol=0)
        torch.testing.assert_close(x.grad, z.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(partial.weight, whole.weight.detach(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            partial.momentum, optimiser.state[whole.weight]["momentum_buffer"], rtol=1e-4, atol=1e-4
        )
    for name, value in partial.rule.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name])


def test_a_step_by_hand() -> None:
    head = PartialFC(ARCFACE, 2, 4, rate=0.5)
    head.weight = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    head.momentum = torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, -2.0], [0.0, 1.0]])
    head.pending = torch.tensor([0, 2]), torch.tensor([[0.5, 0.0], [-1.0, 3.0]])
    head.sgd_step(learning_rate=0.1, momentum=0.5, weight_decay=0.01)
    # v0 = 0.5 (1,1) + (0.5,0) + 0.01 (1,2), v2 = 0.5 (2,-2) + (-1,3) + 0.01 (5,6)
    velocity = torch.tensor([[1.01, 0.52], [0.0, 0.0], [0.05, 2.06], [0.0, 1.0]])
    weight = torch.tensor([[0.899, 1.948], [3.0, 4.0], [4.995, 5.794], [7.0, 8.0]])
    torch.testing.assert_close(head.momentum, velocity)  # float32
    torch.testing.assert_close(head.weight, weight)
    assert head.pending is None
    assert head.step == 1


def test_rows_that_are_not_sampled_stay_to_the_bit() -> None:
    head = PartialFC(ARCFACE, 6, 50, rate=0.3)
    head.momentum.normal_()
    weight, momentum = head.weight.clone(), head.momentum.clone()
    embeddings, labels, _ = batch(0, num_classes=50)
    head(embeddings, labels).backward()
    index = head.pending[0]
    head.sgd_step(0.1, 0.9, 5e-4)
    touched = torch.zeros(50, dtype=torch.bool)
    touched[index] = True
    assert touched.sum() == 15
    assert touched[labels].all()
    assert torch.equal(head.weight[~touched], weight[~touched])
    assert torch.equal(head.momentum[~touched], momentum[~touched])
    assert (head.weight[touched] != weight[touched]).any(dim=1).all()


@pytest.mark.parametrize("rate", [1.0, 0.4, 0.05])
def test_accumulated_gradients_add_up(rate: float) -> None:
    head = PartialFC(ARCFACE, 6, 40, rate)
    parts = [batch(seed, num_classes=40) for seed in range(3)]
    expected = torch.zeros(40, 6)
    for embeddings, labels, _ in parts:
        (head(embeddings, labels) / 3).backward()
        index, gradient = head.pending
        expected[index] += gradient
        head.pending = None
    for embeddings, labels, _ in parts:
        (head(embeddings, labels) / 3).backward()
    index, gradient = head.pending
    assert torch.equal(index, index.unique())
    found = torch.zeros(40, 6).index_add(0, index, gradient)
    torch.testing.assert_close(found, expected)  # float32 sums
    assert all(torch.isin(labels, index).all() for _, labels, _ in parts)
    # micro-batches share their negatives, so the union is hardly larger than one sample
    assert len(index) <= head.num_sampled + sum(len(labels.unique()) for _, labels, _ in parts)
    head.sgd_step(1.0, 0.0, 0.0)
    assert head.step == 1


@pytest.mark.parametrize("num_sampled", [1, 5, 12, 30])
def test_a_sample_holds_all_positives_and_fills_up(num_sampled: int) -> None:
    labels = torch.tensor([33, 10, 12, 12, 39, 40, 9, 55, 10])  # of classes 10 to 39: 10, 12, 33, 39
    sample = sample_classes(labels, 10, 40, num_sampled, seed=1, step=torch.tensor(4))
    assert len(sample) == max(num_sampled, 4)
    assert torch.equal(sample, sample.unique())
    assert sample.min() >= 0
    assert sample.max() < 30
    assert torch.isin(torch.tensor([0, 2, 23, 29]), sample).all()


def test_a_sample_is_a_function_of_seed_and_step() -> None:
    labels = torch.arange(3)

    def sample(seed: int, step: int) -> list[int]:
        return sample_classes(labels, 0, 1000, 100, seed, torch.tensor(step)).tolist()

    assert sample(1, 5) == sample(1, 5)
    assert sample(1, 5) != sample(1, 6)
    assert sample(1, 5) != sample(2, 5)
    assert sample(-3, 0) == sample(2**64 - 3, 0)


def test_negatives_are_uniform_and_steps_independent() -> None:
    steps, count, size = 2000, 50, 10
    drawn = torch.zeros(steps, count)
    for step in range(steps):
        drawn[step, sample_classes(torch.tensor([-1]), 0, count, size, 3, torch.tensor(step))] = 1
    # frequencies are binomial, p = 0.2: 5 of their standard deviations (the largest of 50 exceeds them in 3e-5 of cases)
    assert ((drawn.mean(dim=0) - 0.2).abs() < 5 * math.sqrt(0.16 / steps)).all()
    # two classes go together, and a class in steps n and n + 1, as chance has it: 0.2 · 9 / 49 and 0.04
    together = (drawn.T @ drawn / steps)[~torch.eye(count, dtype=torch.bool)]
    assert ((together - 0.2 * 9 / 49).abs() < 5.5 * math.sqrt(0.2 * 9 / 49 / steps)).all()  # 1225 pairs
    again = (drawn[1:] * drawn[:-1]).mean(dim=0)
    assert ((again - 0.04).abs() < 5 * math.sqrt(0.04 / steps)).all()


def test_random_numbers_are_splitmix64() -> None:
    # By Python's whole numbers: the state is hash(hash(seed) + step), and the stream's n-th number hashes state + n γ.
    word = 2**64

    def mixed(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % word
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % word
        return z ^ (z >> 31)

    assert mixed(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # the published first output of seed 0
    found = random_numbers(torch.arange(5, 8), seed=-7, step=torch.tensor(11))
    state = mixed((mixed(-7 % word) + 11) % word)
    assert found.tolist() == [mixed((state + n * 0x9E3779B97F4A7C15) % word) % 2**63 for n in range(5, 8)]


@pytest.mark.parametrize(("num_classes", "size"), [(1, 1), (7, 3), (10, 3), (1_000_003, 8), (5, 5)])
def test_ranges_cut_all_classes_into_equal_parts(num_classes: int, size: int) -> None:
    ranges = [class_range(num_classes, rank, size) for rank in range(size)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == num_classes
    assert all(one[1] == other[0] for one, other in pairwise(ranges))
    assert {last - first for first, last in ranges} <= {num_classes // size, num_classes // size + 1}


def test_weights_depend_on_seed_and_class_not_on_the_shard() -> None:
    whole = torch.empty(3000, 4)
    draw_weights(whole, 0, seed=5)
    for first, last in (class_range(3000, rank, 7) for rank in range(7)):
        shard = torch.empty(last - first, 4)
        draw_weights(shard, first, seed=5)
        assert torch.equal(shard, whole[first:last])
    assert whole.std().item() == pytest.approx(0.01, rel=0.03)  # 12,000 numbers: 0.6 % standard error
    assert len(whole.unique(dim=0)) == 3000
    other = torch.empty(3000, 4)
    draw_weights(other, 0, seed=6)
    assert not torch.equal(other, whole)


def test_the_loss_does_not_saturate() -> None:
    # a sample opposite to its class and on another: s (1 - (-1 - m)) = 64 · 2.4 = 153.6, not 69.08
    head = PartialFC(settings("cosface", 64.0, 0.4), 2, 2, rate=1.0)
    head.weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    x = torch.tensor([[-1.0, 1e-3]], requires_grad=True)
    loss = head(x, torch.tensor([0]))
    assert loss.item() == pytest.approx(64 * 2.4, rel=1e-5)  # the angle of 1e-3
    loss.backward()
    assert x.grad.abs().sum() > 0


def test_no_optimiser_sees_the_weights_and_the_state_dict_is_small() -> None:
    head = PartialFC(settings("adaface", 8.0, 0.3), 6, 20, rate=0.5)
    assert list(head.parameters()) == []
    assert set(head.state_dict()) == {"step", "rule.norm_mean", "rule.norm_std"}
    assert head.to(torch.float64).weight.dtype == torch.float64
    assert head.momentum.dtype == torch.float64


def test_a_resumed_head_samples_as_the_undisturbed_one() -> None:
    def trained(head: PartialFC, steps: range) -> PartialFC:
        for step in steps:
            embeddings, labels, _ = batch(step, num_classes=50)
            head(embeddings, labels).backward()
            head.sgd_step(0.1, 0.9, 5e-4)
        return head

    undisturbed = trained(PartialFC(ARCFACE, 6, 50, 0.2), range(6))
    stopped = trained(PartialFC(ARCFACE, 6, 50, 0.2), range(3))
    resumed = PartialFC(ARCFACE, 6, 50, 0.2)
    resumed.load_state_dict(stopped.state_dict())
    resumed.weight, resumed.momentum = stopped.weight.clone(), stopped.momentum.clone()
    trained(resumed, range(3, 6))
    assert torch.equal(resumed.weight, undisturbed.weight)
    assert torch.equal(resumed.momentum, undisturbed.momentum)


class LargestResult(TorchDispatchMode):
    """The largest tensor that any operation makes, in values; those in the storages `known` are not new."""

    def __init__(self, known: list[torch.Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.largest = max(self.largest, tensor.numel())
        return result


def test_a_step_makes_nothing_of_the_shards_size() -> None:
    head = PartialFC(ARCFACE, 32, 5000, rate=0.1)
    embeddings, labels, _ = batch(0, size=8, num_classes=5000, dim=32)
    with LargestResult([head.weight, head.momentum]) as mode:
        for _ in range(2):
            head(embeddings, labels).backward()
        head.sgd_step(0.1, 0.9, 5e-4)
    # 500 sampled rows; two micro-batches have at most 8 positives more
    assert mode.largest <= 2 * 508 * 32


def test_under_autocast_and_without_gradient() -> None:
    head = PartialFC(ARCFACE, 6, 20, rate=0.5)
    embeddings, labels, _ = batch(0)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        loss = head(embeddings, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, head(embeddings, labels))
    assert head.pending is None


@pytest.mark.parametrize(
    ("kind", "rate", "num_classes", "message"),
    [
        ("uniface", 0.5, 10, "softmax"),
        ("sphereface", 0.5, 10, "no such kind"),
        ("arcface", 0.0, 10, "share"),
        ("arcface", 1.5, 10, "share"),
        ("arcface", math.nan, 10, "share"),
        ("arcface", 0.5, 0, "class for each rank"),
    ],
)
def test_impossible_ones_are_refused(kind: str, rate: float, num_classes: int, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        PartialFC(settings(kind, 8.0, 0.3), 6, num_classes, rate)
