"""PartialFC over processes: worlds of 1, 2, 3 against the whole head in this process on the global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.class_sample import class_range, sample_classes
from pipeline_lib.networks.heads.shared.partial_fc import draw_weights
from tests.distributed.partial_fc_worker import (
    DIM,
    INPUTS,
    MICRO_BATCHES,
    NUM_CLASSES,
    NUM_STEPS,
    RATE,
    SETTINGS,
    Backbone,
    global_batch,
)

WORKER = Path(__file__).with_name("partial_fc_worker.py")
WORLDS = (1, 2, 3)


def start(folder: Path, repository: Path, worlds: tuple[int, ...], *options: str) -> dict[int, list[tuple[int, str]]]:
    """Run the worker; exit codes and outputs by world and rank."""
    command = [sys.executable, str(WORKER), "--folder", str(folder), "--worlds", *map(str, worlds), *options]
    env = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return {
        world: [(code, (folder / f"{world}/rank{rank}.txt").read_text()) for rank, code in enumerate(codes)]
        for world, codes in zip(worlds, json.loads(done.stdout), strict=True)
    }


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[int, Path]:
    """What each world wrote; all loaded the shards of that of 3."""
    folder = tmp_path_factory.mktemp("partial_fc")
    for ranks in start(folder, repository, (3, 2, 1)).values():
        for code, output in ranks:
            assert code == 0, output
    return {world: folder / str(world) for world in WORLDS}


def written(worlds: dict[int, Path], world: int, what: str) -> list[dict[str, Tensor]]:
    """By rank."""
    return [load_file(worlds[world] / f"{what}-{rank}.safetensors") for rank in range(world)]


def joined(ranks: list[dict[str, Tensor]], name: str) -> Tensor:
    """The shards of all ranks, in order of classes."""
    return torch.cat([rank[name] for rank in ranks])


def whole_training(kind: str) -> tuple[list[dict[str, Tensor]], dict[str, Tensor], dict[str, Tensor]]:
    """The worker's training with the whole head and PyTorch's SGD on the global batch: steps, weights, statistics."""
    head, backbone = build_head(SETTINGS[kind], DIM, NUM_CLASSES), Backbone()
    draw_weights(head.weight.data, 0, seed=3)
    optimisers = [
        torch.optim.SGD(backbone.parameters(), lr=0.01, momentum=0.9),
        torch.optim.SGD([head.weight], lr=0.01, momentum=0.9, weight_decay=5e-4),
    ]
    steps = []
    for step in range(NUM_STEPS):
        losses = []
        for optimiser in optimisers:
            optimiser.zero_grad()
        inputs, labels, _ = global_batch(step)
        with torch.no_grad():
            head.observe(backbone(inputs), labels)
        for inputs, labels, noise in zip(*(value.chunk(MICRO_BATCHES) for value in global_batch(step)), strict=True):
            loss = head(backbone(inputs), labels, noise) / MICRO_BATCHES
            loss.backward()
            losses.append(loss.detach())
        gradients = {"backbone": backbone.linear.weight.grad.clone(), "gradient": head.weight.grad.clone()}
        steps.append({"losses": torch.stack(losses), **gradients})
        for optimiser in optimisers:
            optimiser.step()
    weights = {"weight": head.weight.detach(), "momentum": optimisers[1].state[head.weight]["momentum_buffer"]}
    statistics = {name: value for name, value in head.state_dict().items() if name != "weight"}
    return steps, weights, statistics


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("world", WORLDS)
def test_at_rate_one_every_world_is_the_whole_head(world: int, kind: str, worlds: dict[int, Path]) -> None:
    # float32 sums in other orders, relative error 1e-6, over 3 steps in which the weights of norm 0.02 become ones of 2
    ranks = written(worlds, world, kind)
    steps, weights, statistics = whole_training(kind)
    for step, expected in enumerate(steps):
        for rank in ranks:
            torch.testing.assert_close(rank[f"{step}.losses"], expected["losses"], rtol=1e-4, atol=0)
            torch.testing.assert_close(rank[f"{step}.backbone"], expected["backbone"], rtol=1e-3, atol=1e-4)
        gradient = joined(ranks, f"{step}.gradient")
        torch.testing.assert_close(gradient, expected["gradient"], rtol=1e-3, atol=1e-3 * gradient.abs().max().item())
    for name, value in weights.items():
        torch.testing.assert_close(joined(ranks, name), value, rtol=1e-3, atol=1e-4 * value.abs().max().item())
    for name, value in statistics.items():
        torch.testing.assert_close(ranks[0][f"rule.{name}"], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("world", [2, 3])
def test_all_ranks_have_the_same_loss_and_statistics_to_the_bit(world: int, kind: str, worlds: dict[int, Path]) -> None:
    ranks = written(worlds, world, kind)
    shared = [name for name in ranks[0] if name.startswith("rule.") or name.endswith((".losses", ".backbone", "step"))]
    assert len(shared) >= 2 * NUM_STEPS + 1
    for rank in ranks[1:]:
        assert all(torch.equal(rank[name], ranks[0][name]) for name in shared)


@pytest.mark.parametrize("what", ["arcface", "sampled"])
@pytest.mark.parametrize("world", WORLDS)
def test_every_rank_gathers_all_class_weights(world: int, what: str, worlds: dict[int, Path]) -> None:
    ranks = written(worlds, world, what)
    assert all(torch.equal(rank["classes"], joined(ranks, "weight")) for rank in ranks)


@pytest.mark.parametrize("kind", ["adaface", "curricularface"])
@pytest.mark.parametrize("world", [2, 3])
def test_statistics_of_the_whole_head_are_of_all_ranks_samples(world: int, kind: str, worlds: dict[int, Path]) -> None:
    one = written(worlds, 1, f"whole-{kind}")[0]
    ranks = written(worlds, world, f"whole-{kind}")
    assert set(one) == ({"norm_mean", "norm_std"} if kind == "adaface" else {"t"})
    for name, value in one.items():
        torch.testing.assert_close(ranks[0][name], value)  # sums in another order
        assert all(torch.equal(rank[name], ranks[0][name]) for rank in ranks)


@pytest.mark.parametrize("world", WORLDS)
def test_sum_over_ranks(world: int, worlds: dict[int, Path]) -> None:
    for rank in written(worlds, world, "sum"):
        assert rank["total"].tolist() == [world, 2**world - 1]


@pytest.mark.parametrize("world", WORLDS)
def test_a_sampled_step_is_the_whole_head_on_the_sampled_classes(world: int, worlds: dict[int, Path]) -> None:
    ranks = written(worlds, world, "sampled")
    weight = torch.empty(NUM_CLASSES, DIM)
    draw_weights(weight, 0, seed=3)
    backbone = Backbone()
    losses, gradient = [], torch.zeros(NUM_CLASSES, DIM)
    for inputs, labels, _ in zip(*(value.chunk(MICRO_BATCHES) for value in global_batch(0)), strict=True):
        classes = []
        for rank in range(world):
            first, last = class_range(NUM_CLASSES, rank, world)
            size = max(1, int(RATE * (last - first)))
            classes.append(first + sample_classes(labels, first, last, size, 3, torch.tensor(0)))
        sampled = torch.cat(classes)
        assert torch.isin(labels, sampled).all()
        head = build_head(SETTINGS["arcface"], INPUTS, len(sampled))
        head.weight.data = weight[sampled]
        loss = head(backbone(inputs), torch.searchsorted(sampled, labels)) / MICRO_BATCHES
        loss.backward()
        losses.append(loss.detach())
        gradient[sampled] += head.weight.grad
    found = torch.zeros(NUM_CLASSES, DIM)
    for rank, tensors in enumerate(ranks):
        found[class_range(NUM_CLASSES, rank, world)[0] + tensors["0.index"]] = tensors["0.gradient"]
        torch.testing.assert_close(tensors["0.losses"], torch.stack(losses), rtol=1e-5, atol=0)  # float32
        torch.testing.assert_close(tensors["0.backbone"], backbone.linear.weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item())


@pytest.mark.parametrize("world", WORLDS)
def test_shards_of_three_are_read_by_any_world(world: int, worlds: dict[int, Path]) -> None:
    saved, loaded = written(worlds, 3, "adaface"), written(worlds, world, "loaded")
    for name in ("weight", "momentum"):
        assert torch.equal(joined(loaded, name), joined(saved, name))
        assert [len(rank[name]) for rank in loaded] == {1: [11], 2: [5, 6], 3: [3, 4, 4]}[world]


def test_one_rank_that_cannot_write_stops_all(tmp_path: Path, repository: Path) -> None:
    (code, output), (other_code, other_output) = start(tmp_path, repository, (2,), "--broken-rank", "1")[2]
    assert (code, other_code) == (3, 3), output + other_output
    assert "1 of 2 ranks failed, not this one" in output
    assert "could not be written" in other_output
    assert "partial_fc_worker.py" in other_output
