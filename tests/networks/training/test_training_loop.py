"""The loop in one process: rows, epochs, what is refused, and that a rank's draws do not depend on the resume point."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import EPOCHS, HEAD, MACHINE, TRAIN, changed, dataset, one_process, trainee

from pipeline_lib.core.errors import DataError, ParamsError, PipelineError
from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.heads import adaface, cosface, curricularface
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.settings import HeadSettings
from pipeline_lib.networks.training import loop, side_by_side
from pipeline_lib.networks.training.data import Batch, TrainingSet
from pipeline_lib.networks.training.distributed import batch_shares, divides
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.train import Train

ONE = one_process()
TINY = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
PATCHES = {"side_px": 28, "layout": "no_corners33"}
STATISTICAL = (
    adaface.Settings(scale=8.0, margin=0.2, t_alpha=0.3),
    curricularface.Settings(scale=8.0, margin=0.2, t_alpha=0.3),
)


def run_of(
    settings: Train, data: TrainingSet, folder: Path, epochs: int = EPOCHS, head: HeadSettings = HEAD
) -> loop._Run:
    """A training that has not taken a step."""
    it = trainee(settings, head=head)
    return loop._Run({"it": it}, data, settings, epochs, MACHINE, ONE, folder, lambda row, step: None, None)


def train(
    settings: Train,
    folder: Path,
    trainees: Mapping[str, Trainee],
    validate: loop.Validate | None = None,
    epochs: int = EPOCHS,
    machine: Machine = MACHINE,
) -> list[loop.Row]:
    data = dataset(len(trainees))
    return loop.train_networks(trainees, data, settings, epochs, machine, ONE, folder, lambda row, step: None, validate)


def test_rows_steps_and_learning(tmp_path: Path) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    it = trainee()
    network = it.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    history = loop.train_networks(
        {"it": it}, dataset(), TRAIN, 6, MACHINE, ONE, tmp_path, lambda row, step: logged.append((step, row))
    )
    assert [row["step"] for row in history] == [2, 4, 6, 8, 10, 12, 14, 16, 18]  # 3 steps an epoch of 13 in fours
    assert [row["epoch"] for row in history][:3] == pytest.approx([2 / 3, 4 / 3, 2], abs=1e-4)
    # warm-up of 3 steps to 0.05 at step index 3, then 15 steps down; row s holds the rate of step index s - 1
    assert history[0]["learning_rate"] == pytest.approx(0.05 * 2 / 4)
    assert history[1]["learning_rate"] == pytest.approx(0.05)
    assert history[-1]["learning_rate"] == pytest.approx(0.05 / 15)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert all(row["images_per_s"] > 0 for row in history)
    assert all(0 <= row["data_wait_share"] <= 1 for row in history)
    assert all(row["peak_memory_bytes"] > 1e7 for row in history)
    assert all(0 < row["gradient_norm"] < np.inf for row in history)
    assert [step for step, _ in logged] == [row["step"] for row in history]
    assert "step" not in logged[0][1]
    assert not torch.equal(network.state_dict()["conv1.weight"], before["conv1.weight"])
    assert torch.equal(network.state_dict()["features.weight"], before["features.weight"])  # frozen
    assert list(tmp_path.iterdir()) == []  # fewer steps than checkpoint_every_steps


@pytest.mark.parametrize("num_workers", [1, 2, 3, 5])
def test_no_sample_comes_twice_in_an_epoch_and_resuming_goes_on_at_the_sample(tmp_path: Path, num_workers: int) -> None:
    """Whatever the number of the loader's workers."""

    def batches_from(step: int, num_workers: int) -> list[list[int]]:
        run = run_of(TRAIN, dataset(), tmp_path)
        run.machine = changed(MACHINE, threads_per_process=num_workers)
        run.progress.step = step
        return [batch.images[0][:, 20, 5, 0].tolist() for batch in run.batches()]

    whole = batches_from(0, 1)
    assert len(whole) == 9
    for epoch in range(3):
        seen = [value for batch in whole[3 * epoch : 3 * epoch + 3] for value in batch]
        assert len(set(seen)) == len(seen) == 12  # of thirteen
        assert set(seen) <= {20 + 5 * i for i in range(13)}
    for step in range(10):
        assert batches_from(step, num_workers) == whole[step:]


def test_only_a_checkpoint_of_the_same_training_is_resumed(tmp_path: Path) -> None:
    def step_of(settings: Train, data: TrainingSet, epochs: int = EPOCHS, head: HeadSettings = HEAD) -> int:
        return run_of(settings, data, tmp_path, epochs, head).progress.step

    run = run_of(TRAIN, dataset(), tmp_path)
    run.take_step(next(run.batches()))
    run.collect()
    run.save()
    assert step_of(TRAIN, dataset()) == 1
    for other in ({"seed": 4}, {"learning_rate": 0.04}):
        assert step_of(changed(TRAIN, **other), dataset()) == 0
    assert step_of(TRAIN, dataset(), epochs=4) == 0
    assert step_of(TRAIN, dataset(), head=cosface.Settings(scale=8.0, margin=0.2)) == 0
    assert step_of(TRAIN, dataclasses.replace(dataset(), digest="other")) == 0
    assert step_of(TRAIN, dataclasses.replace(dataset(), classes=("a", "c"))) == 0


def test_the_backbones_gradient_is_clipped_and_the_heads_is_not(tmp_path: Path) -> None:
    settings = changed(TRAIN, clip_norm=1e-3)
    run = run_of(settings, dataset(), tmp_path)
    run.take_step(next(run.batches()))
    model = run.learners[0].model
    norm = torch.stack([p.grad.norm() for p in model.network.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)
    assert model.head.weight.grad.norm() > 1e-2
    run.collect()
    assert run.progress.pending[0][1] > 1e-2  # what is logged is the norm before clipping


def test_micro_batches_add_up_to_the_batch() -> None:
    # A network in eval mode has no batch statistics, so parts and whole have the same gradient up to float32 sums.
    images = dataset().load(np.arange(4), 0, 0, 0)[0]
    batch = Batch([images], np.array([0, 1, 0, 1]), None, None, np.arange(4))
    gradients = []
    for size in (4, 2, 1):
        learner = Learner({"it": trainee()}, changed(TRAIN, clip_norm=1e9), ONE)
        learner.model.eval()
        parts = micro_batches(batch, [0], size, ONE.device)
        assert [len(part.labels) for part in parts] == [size] * (4 // size)
        learner.take_step(parts, 0.0)
        gradients.append({name: p.grad for name, p in learner.model.named_parameters() if p.grad is not None})
    for other in gradients[1:]:
        for name, gradient in gradients[0].items():
            torch.testing.assert_close(other[name], gradient, rtol=1e-4, atol=1e-6)


def batch_of_16() -> Batch:
    images = np.concatenate([dataset().load(np.array([i % 10]), 0, 0, i)[0] for i in range(16)])
    return Batch([images], np.arange(16) % 2, None, None, np.arange(16))


@pytest.mark.parametrize("partial_fc_rate", [None, 1.0])
@pytest.mark.parametrize("head", STATISTICAL, ids=lambda head: head.kind)
def test_statistics_of_heads_are_of_the_global_batch_whatever_its_parts(
    head: HeadSettings, partial_fc_rate: float | None
) -> None:
    settings = changed(TRAIN, partial_fc_rate=partial_fc_rate)
    figures = []
    for size in (16, 8, 4):
        learner = Learner({"it": trainee(settings, head=head)}, settings, ONE)
        learner.model.network.eval()  # whose batch normalisation would see the parts
        for _ in range(3):
            learner.take_step(micro_batches(batch_of_16(), [0], size, ONE.device), 0.01)
        state = learner.model.head.state_dict()
        figures.append(
            {name: value.item() for name, value in state.items() if value.dim() == 0}
            | {"losses": learner.figures()[0, 0].tolist()}
        )
    assert figures[0].keys() & {"t", "norm_mean", "rule.t", "rule.norm_mean"}
    for other in figures[1:]:
        assert other.pop("losses") == pytest.approx(figures[0]["losses"], rel=1e-5)  # the order of float32 sums
        assert other == pytest.approx({name: figures[0][name] for name in other}, rel=1e-5)


def test_observing_a_batch_in_parts_leaves_the_networks_running_statistics_alone() -> None:
    # Before the first step's update they depend on the images and the first weights alone, not on the head.
    buffers = []
    for head in (HEAD, STATISTICAL[0]):
        learner = Learner({"it": trainee(head=head)}, TRAIN, ONE)
        learner.take_step(micro_batches(batch_of_16(), [0], 4, ONE.device), 0.01)
        buffers.append(dict(learner.model.network.named_buffers()))
    assert any(name.endswith("running_mean") for name in buffers[0])
    assert all(torch.equal(value, buffers[1][name]) for name, value in buffers[0].items())


@pytest.mark.parametrize("computed", ["as one", "alone"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clip_norm": 0.05, "micro_batch_size": 2},  # every step is clipped, each network's by its own length
        {"ema_decay": 0.5, "micro_batch_size": 2},  # and a head with running statistics
        {"partial_fc_rate": 1.0},
    ],
    ids=["plain", "clipped", "averaged", "sharded head"],
)
def test_networks_trained_together_are_those_trained_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: str, changes: dict[str, object]
) -> None:
    if computed == "alone":
        monkeypatch.setitem(side_by_side.VALUES_AT_ONCE, "cpu", 0)
    settings, every = changed(TRAIN, **changes), changed(MACHINE, log_every_steps=1)
    head = curricularface.Settings(scale=8.0, margin=0.2) if "ema_decay" in changes else HEAD
    together = {name: trainee(settings, seed, head) for name, seed in (("a", 1), ("b", 2))}
    assert len(list(side_by_side.side_by_side(together, 4, ONE))) == (1 if computed == "as one" else 2)
    history = train(settings, tmp_path / "both", together, epochs=1, machine=every)
    for seed, name in ((1, "a"), (2, "b")):
        alone = trainee(settings, seed, head)
        rows = train(settings, tmp_path / name, {name: alone}, epochs=1, machine=every)
        losses = [row["loss"] for row in rows]
        wanted, found = alone.state_dict(), together[name].state_dict()
        if computed == "alone":
            assert [row[f"loss.{name}"] for row in history] == losses
            assert all(torch.equal(value, wanted[key]) for key, value in found.items())
        else:  # float32 sums in another order, three steps deep
            assert [row[f"loss.{name}"] for row in history] == pytest.approx(losses, rel=1e-3)
            for key, value in found.items():
                torch.testing.assert_close(value, wanted[key], rtol=1e-3, atol=1e-4, msg=lambda text, k=key: k + text)
        sharing = {tensor.untyped_storage().data_ptr() for tensor in found.values()}
        assert len(sharing) == len(found), "a finished network keeps the others' weights in memory"
    assert [row["loss"] for row in history] == [pytest.approx((row["loss.a"] + row["loss.b"]) / 2) for row in history]


def test_only_networks_of_one_shape_are_computed_as_one() -> None:
    small = iresnet.Spec(**TINY, input_px=28)
    specs = {
        "a": small,
        "b": small,
        "larger": iresnet.Spec(**TINY, input_px=56),
        "c": small,
        "rrfnet": iresnet.Spec(**TINY, patches=PATCHES),
        "rrfnet too": iresnet.Spec(**TINY, patches=PATCHES),
    }
    trainees = {name: new_trainee(build_network(spec), HEAD, TRAIN, 2) for name, spec in specs.items()}
    groups = [list(group) for group in side_by_side.side_by_side(trainees, 4, ONE)]
    assert groups == [["a", "b"], ["larger"], ["c"], ["rrfnet"], ["rrfnet too"]]


@pytest.mark.parametrize(
    ("device", "micro_batch", "expected"), [("cpu", 32, 2), ("cpu", 84, 1), ("cuda", 2048, 2), ("cuda", 4096, 1)]
)
def test_as_many_are_computed_as_one_as_the_device_takes_first_maps(
    device: str, micro_batch: int, expected: int
) -> None:
    trainees = {name: trainee() for name in "ab"}  # 28 x 28 x 8 values of the first map for each image
    groups = list(side_by_side.side_by_side(trainees, micro_batch, World(0, 0, 1, torch.device(device))))
    assert max(map(len, groups)) == expected


def test_the_running_mean_is_what_comes_out_and_is_validated(tmp_path: Path) -> None:
    it = trainee()
    weights: list[torch.Tensor] = []
    settings = changed(TRAIN, ema_decay=0.7, validate_every_epochs=1)
    it.network.fc.weight.register_post_accumulate_grad_hook(lambda weight: weights.append(weight.detach().clone()))
    seen: list[torch.Tensor] = []

    def validate(networks: Mapping[str, FaceNetwork]) -> loop.Row:
        assert not networks["it"].training
        seen.append(networks["it"].fc.weight.detach().clone())
        return {"val_auc": 0.5}

    history = train(settings, tmp_path, {"it": it}, validate)
    assert [row["epoch"] for row in history if "val_auc" in row] == [1, 2, 3]
    assert it.network.training
    # The hook sees a weight before its step: weights[1:] are those after steps 1..8; the last step's is not among them.
    mean = weights[1]
    for weight in weights[2:6]:
        mean = 0.7 * mean + 0.3 * weight
    torch.testing.assert_close(seen[1], 0.7 * mean + 0.3 * weights[6], rtol=1e-5, atol=1e-7)  # six float32 roundings
    assert torch.equal(it.network.fc.weight, seen[2])


def test_without_interval_nothing_is_validated(tmp_path: Path) -> None:
    def never(networks: Mapping[str, FaceNetwork]) -> loop.Row:
        raise AssertionError

    assert not any("val_auc" in row for row in train(TRAIN, tmp_path, {"it": trainee()}, never))


@pytest.mark.slow
def test_a_compiled_step_is_the_eager_one(tmp_path: Path) -> None:
    losses = [
        [row["loss"] for row in train(each, tmp_path / str(each.compile), {"it": trainee()}, epochs=1)]
        for each in (TRAIN, changed(TRAIN, compile=True))
    ]
    # Fused kernels add float32 in another order; two steps on, losses of 1.7 and 0.02 then differ by 3e-4 (seen).
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)


@pytest.mark.slow
def test_a_compiled_step_over_patches_is_the_eager_one() -> None:
    spec = iresnet.Spec(**TINY, patches={**PATCHES, "mask_share": 0.4})
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    losses = []
    for settings in (TRAIN, changed(TRAIN, compile=True)):
        network = build_network(spec, 1)
        rng = np.random.default_rng(1)
        kept = np.array([network.draw(rng) for _ in images])
        batch = Batch([images], np.array([0, 1, 0, 1]), kept, None, np.arange(4))
        learner = Learner({"it": new_trainee(network, HEAD, settings, 2)}, settings, ONE)
        for _ in range(2):
            learner.take_step(micro_batches(batch, [0], 2, torch.device("cpu")), 0.02)
        losses.append(learner.figures()[0, 0])
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=2e-3)  # as above
    assert losses[0][0] - losses[0][1] > 0.1


def test_pixels_become_values_from_minus_one_to_one() -> None:
    it = trainee()
    seen: list[torch.Tensor] = []
    it.network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    images = np.zeros((2, 28, 28, 3), np.uint8)
    images[1, :, :, 2] = 255
    images[1, 3, 4, 0] = 51
    (part,) = micro_batches(Batch([images], np.array([0, 1]), None, None, np.arange(2)), [0], 2, torch.device("cpu"))
    it(*part)
    assert (seen[0][0] == -1).all()
    assert (seen[0][1, 2] == 1).all()
    assert seen[0][1, 0, 3, 4].item() == pytest.approx(-0.6)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_what_does_not_fit_is_refused_before_the_first_step(tmp_path: Path) -> None:
    for num_classes in (1, 3):
        other = Trainee(trainee().network, build_head(HEAD, 8, num_classes))
        with pytest.raises(
            DataError, match=f"does not fit the training set[\\s\\S]*{num_classes} classes for it[\\s\\S]*2"
        ):
            train(TRAIN, tmp_path, {"it": other})
    narrow = dataclasses.replace(dataset(), max_shift_px=1)
    with pytest.raises(ParamsError, match="shift_px"):
        loop.train_networks({"it": trainee()}, narrow, TRAIN, EPOCHS, MACHINE, ONE, tmp_path, lambda row, step: None)
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"cannot be written here[\s\S]*file"):
        train(TRAIN, tmp_path / "file", {"it": trainee()})


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "world", "message"),
    [
        (4, None, 3, r"does not divide among[\s\S]*4 over 3[\s\S]*multiple of 3"),
        (12, None, 2, r"larger than the training set[\s\S]*12[\s\S]*1 to 10"),
        (2, None, 4, r"does not divide among"),  # a rank would be empty
        (4, None, 4, r"Batch normalisation needs more than one sample[\s\S]*4 over 4 processes[\s\S]*8 or more"),
        (8, 3, 2, r"does not divide into micro-batches[\s\S]*8 / 2 = 4 in micro-batches of 3"),
    ],
)
def test_batches_that_do_not_divide(batch_size: int, micro_batch_size: int | None, world: int, message: str) -> None:
    settings = changed(TRAIN, batch_size=batch_size, micro_batch_size=micro_batch_size)
    with pytest.raises(ParamsError, match=message):
        batch_shares(settings, 10, World(0, 0, world, torch.device("cpu")))


def test_a_batch_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    it = trainee()
    calls: list[int] = []

    def blow_up(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return output * float("nan") if len(calls) == 3 else output

    it.network.register_forward_hook(blow_up)
    run = run_of(TRAIN, dataset(), tmp_path)
    names = [f"picture{sample}.png" for sample in run.plan(0)[2]]
    with pytest.raises(PipelineError, match=r"loss of step 3 is not finite on rank 0[\s\S]*nan for it") as raised:
        train(TRAIN, tmp_path, {"it": it})
    assert ", ".join(names) in str(raised.value)


def test_processes_that_can_share_a_batch() -> None:
    settings = changed(TRAIN, batch_size=12, micro_batch_size=2)
    assert [num for num in range(1, 13) if divides(settings, num)] == [1, 2, 3, 6]
    whole_share = changed(settings, micro_batch_size=None)
    assert [num for num in range(1, 13) if divides(whole_share, num)] == [1, 2, 3, 4, 6]  # 12: a sample each
