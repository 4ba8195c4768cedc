"""Margin heads and PartialFC against their formulas, one sample and one class at a time in Python's float64."""

import copy
import math
import statistics

import pytest
import torch

from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.heads.shared.settings import HeadSettings
from tests.networks.heads.some_heads import KINDS, settings

SCALE, MARGIN, STD = 16.0, 0.3, 0.1
NUM_CLASSES, DIM, BATCH = 9, 5, 12


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def angle(x: list[float], w: list[float]) -> float:
    cosine = sum(a * b for a, b in zip(x, w, strict=True)) / (math.hypot(*x) * math.hypot(*w))
    return math.acos(clip(cosine, -1, 1))


class SlowHead:
    """A head of METHODS section 3 in training mode, with the state that its running statistics have."""

    def __init__(self, kind: str, num_classes: int) -> None:
        self.kind = kind
        self.mean, self.std, self.t = 20.0, 100.0, 0.0
        self.bias = math.log(10 * num_classes)

    def loss(self, batch: list, labels: list[int], weights: list, noise: list[float], classes: list[int]) -> float:
        """Mean over the batch, with the softmax over `classes`."""
        if self.kind == "adaface":
            lengths = [clip(math.hypot(*x), 1e-3, 100) for x in batch]
            self.mean = 0.99 * self.mean + 0.01 * statistics.mean(lengths)
            self.std = 0.99 * self.std + 0.01 * statistics.stdev(lengths)
        if self.kind == "curricularface":
            own = [math.cos(angle(x, weights[y])) for x, y in zip(batch, labels, strict=True)]
            self.t = 0.99 * self.t + 0.01 * statistics.mean(own)
        return self.mean_loss(batch, labels, weights, noise, classes)

    def mean_loss(self, batch: list, labels: list[int], weights: list, noise: list[float], classes: list[int]) -> float:
        """`loss` with the statistics as they are."""
        losses = []
        for x, y, n in zip(batch, labels, noise, strict=True):
            own = angle(x, weights[y])
            logits = {j: SCALE * self.other(angle(x, weights[j]), own) for j in classes if j != y}
            logits[y] = SCALE * self.target(own, math.hypot(*x), n)
            losses.append(self.sigmoids(logits, y) if self.kind == "uniface" else self.cross_entropy(logits, y))
        return statistics.mean(losses)

    def target(self, own: float, length: float, n: float) -> float:
        if self.kind == "arcface":
            return math.cos(own + MARGIN)
        if self.kind == "normface":
            return math.cos(own)
        if self.kind in ("cosface", "uniface"):
            return math.cos(own) - MARGIN
        if self.kind == "elasticface_arc":
            return math.cos(own + MARGIN + STD * n)
        if self.kind == "elasticface_cos":
            return math.cos(own) - (MARGIN + STD * n)
        if self.kind == "curricularface":
            return math.cos(own + MARGIN) if own < math.pi - MARGIN else math.cos(own) - MARGIN * math.sin(MARGIN)
        quality = clip(0.333 * (clip(length, 1e-3, 100) - self.mean) / (self.std + 1e-3), -1, 1)
        inner = math.acos(clip(math.cos(own), -1 + 1e-3, 1 - 1e-3))
        return math.cos(clip(inner - MARGIN * quality, 1e-3, math.pi - 1e-3)) - MARGIN - MARGIN * quality

    def other(self, other: float, own: float) -> float:
        cosine = math.cos(other)
        if self.kind == "curricularface" and cosine > math.cos(own + MARGIN):
            return cosine * (self.t + cosine)
        return clip(cosine, -1 + 1e-3, 1 - 1e-3) if self.kind == "adaface" else cosine

    def sigmoids(self, logits: dict[int, float], y: int) -> float:
        total = 0.0
        for j, logit in logits.items():
            decision = clip(logit - self.bias, -SCALE, SCALE)
            total += math.log(1 + math.exp(-decision if j == y else decision))
        return total

    def cross_entropy(self, logits: dict[int, float], y: int) -> float:
        return math.log(sum(math.exp(logit) for logit in logits.values())) - logits[y]


def settings_of(kind: str) -> HeadSettings:
    own = {
        "arcface": {"gradient": "exact"},
        "elasticface_arc": {"margin_std": STD},
        "elasticface_cos": {"margin_std": STD},
    }
    return settings(kind, SCALE, 0.0 if kind == "normface" else MARGIN, **own.get(kind, {}))


def batches(num: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Embeddings of lengths from 0.3 to 300 and at all angles, labels, noise."""
    generator = torch.Generator().manual_seed(3)
    drawn = []
    for _ in range(num):
        lengths = 10 ** torch.linspace(-1, 2, BATCH)[:, None]
        embeddings = torch.randn(BATCH, DIM, generator=generator) * lengths
        labels = torch.randint(NUM_CLASSES, (BATCH,), generator=generator)
        drawn.append((embeddings, labels, torch.randn(BATCH, generator=generator)))
    return drawn


@pytest.mark.parametrize("kind", KINDS)
def test_heads_over_batches_in_training_mode(kind: str) -> None:
    head, slow = build_head(settings_of(kind), DIM, NUM_CLASSES), SlowHead(kind, NUM_CLASSES)
    head.weight.data = torch.randn(NUM_CLASSES, DIM, generator=torch.Generator().manual_seed(4))
    for embeddings, labels, noise in batches(3):
        embeddings[0] = 2 * head.weight.data[labels[0]]  # on its class, and one beyond π - m
        embeddings[1] = -head.weight.data[labels[1]] + 0.02
        head.observe(embeddings, labels)
        loss = head(embeddings, labels, noise).item()
        lists = (value.tolist() for value in (embeddings.double(), labels, head.weight.detach().double(), noise))
        expected = slow.loss(*lists, list(range(NUM_CLASSES)))
        # float32: an angle near 0 is good to sqrt(1e-7), the floor of arcface's sine, times scale / batch
        assert loss == pytest.approx(expected, rel=1e-5, abs=3e-4)
    for name, value in {"norm_mean": slow.mean, "norm_std": slow.std, "t": slow.t}.items():
        if hasattr(head, name):
            assert getattr(head, name).item() == pytest.approx(value, rel=1e-5)  # float32


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "uniface"])
def test_partial_fc_over_batches_on_the_sampled_classes(kind: str) -> None:
    head, slow = PartialFC(settings_of(kind), DIM, 40, rate=0.4, seed=7), SlowHead(kind, 40)
    torch.randn(40, DIM, generator=torch.Generator().manual_seed(4), out=head.weight)
    for embeddings, labels, noise in batches(3):
        x = embeddings.clone().requires_grad_()
        head.observe(x, labels)
        loss = head(x, labels, noise)
        loss.backward()
        index, gradient = head.pending
        lists = [value.tolist() for value in (embeddings.double(), labels, head.weight.double(), noise)]
        classes = index.tolist()
        assert len(classes) == 16
        assert loss.item() == pytest.approx(slow.loss(*lists, classes), rel=1e-5)  # float32

        # gradients by central differences, of a sampled row and of an embedding; statistics and lengths are constants
        for tensor, row, found in ((2, classes[5], gradient[5, 1]), (0, 7, x.grad[7, 1])):
            losses = []
            for step in (1e-5, -1e-5):
                shifted = copy.deepcopy(lists)
                shifted[tensor][row][1] += step
                rescale = math.hypot(*lists[tensor][row]) / math.hypot(*shifted[tensor][row])
                shifted[tensor][row] = [value * rescale for value in shifted[tensor][row]]
                losses.append(slow.mean_loss(*shifted, classes))
            # float32, and differences that cancel 6 of 16 digits
            assert found.item() == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-4, abs=1e-6)
        head.sgd_step(0.1, 0.9, 5e-4)
