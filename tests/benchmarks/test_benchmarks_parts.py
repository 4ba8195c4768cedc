"""What the benchmarks compute: operations counted, ratios, groups of operations, the contenders' arithmetic."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import common, cuda_step
from benchmarks.train_step import group
from pipeline_lib.core.world import World
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.networks.backbones.iresnet import IResNet, Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import Trainee, new_trainee

CPU = torch.device("cpu")
ONE = World(0, 0, 1, CPU)
TINY = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
SMALL = Spec(**TINY, input_px=28)
RRFNET = Spec(**TINY, patches={"side_px": 28, "layout": "no_corners33"})


def random_batch(num_views: int, side: int) -> Batch:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (4, side, side, 3), dtype=np.uint8) for _ in range(num_views)]
    return Batch(images, np.array([0, 1, 2, 1]), None, None, np.arange(4))


def counted_by_hooks(trainee: Trainee, batch: Batch) -> int:
    """Each layer's 2 C_in k² a value of its output, three times; the first convolution's twice, for it has no gradient of
    its input; the head's cosines as a layer."""
    total, first = 0, True

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total, first
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        total += 2 * output.numel() * layer.weight[0].numel() * (2 if first else 3)
        first = False

    layers = [layer for layer in trainee.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    handles = [layer.register_forward_hook(count) for layer in layers]
    trainee(*micro_batches(batch, [0], 4, CPU)[0])
    for handle in handles:
        handle.remove()
    return total + 3 * 2 * 4 * trainee.head.weight.numel()


@pytest.mark.parametrize(("spec", "side"), [(SMALL, 28), (RRFNET, 112)], ids=["iresnet", "rrfnet"])
def test_flops_are_those_of_the_layers_counted_one_by_one(spec: Spec, side: int) -> None:
    batch = random_batch(1, side)
    trainee = new_trainee(build_network(spec), common.HEAD, common.train_settings(4), 3)
    learner = Learner({"it": trainee}, common.train_settings(4), ONE)
    before = trainee.head.weight.detach().clone()
    assert common.step_flops(learner, micro_batches(batch, [0], 4, CPU)) == counted_by_hooks(trainee, batch)
    assert not torch.equal(trainee.head.weight, before)  # it was a step


def test_flops_of_iresnet_50_are_the_published_ones() -> None:
    # InsightFace's model zoo gives 6.3 G multiply-adds for a 112x112 image
    with torch.device("meta"):
        network, image = IResNet(common.NETWORKS["iresnet50"]).eval(), torch.zeros(1, 3, 112, 112)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    assert counter.get_total_flops() / 2e9 == pytest.approx(6.3, abs=0.05)  # its last digit


def test_plain_step_of_the_gpu_benchmark_is_the_engines_up_to_float16() -> None:
    settings, batch = common.train_settings(4), random_batch(1, 112)
    spec = Spec(**TINY)

    def weights(trainee: Trainee) -> Tensor:
        return torch.cat([weight.detach().flatten() for weight in trainee.parameters()])

    def update(step: Callable[[Batch], None], trainee: Trainee) -> Tensor:
        before = weights(trainee)
        for _ in range(20):  # a float16 step is skipped while the loss is scaled too far
            step(batch)
            if not torch.equal(weights(trainee), before):
                return weights(trainee) - before
        raise AssertionError("no step was taken")

    ours, plain = (new_trainee(build_network(spec), common.HEAD, settings, 3) for _ in range(2))
    found = update(cuda_step.plain_step(plain, settings, CPU), plain)
    expected = update(cuda_step.engine_step(ours, settings, CPU), ours)
    # float16 has 3 digits, of which normalisation over 4 images leaves 2
    assert torch.cosine_similarity(found, expected, dim=0) > 0.99
    assert found.norm() == pytest.approx(expected.norm().item(), rel=0.05)


def test_faces_are_read_back_and_as_large_as_photographs(tmp_path: Path) -> None:
    common.write_faces(tmp_path, num_images=6, num_identities=2)
    dataset = training_faces(tmp_path, None)
    assert (len(dataset), dataset.classes) == (6, ("person00000", "person00001"))
    png = dataset.readers[0].read(0)
    assert 15_000 < len(png) < 30_000
    assert decode_image(png).std() > 10


def test_ratios_are_of_pairs() -> None:
    # medians of each alone would give 3 / 2
    assert common.paired_ratio([1.0, 3.0, 8.0], [1.0, 2.0, 4.0]) == {"median": 1.5, "min": 1.0, "max": 2.0}
    assert common.paired_ratio([2.0, 9.0, 10.0], [1.0, 10.0, 2.0]) == {"median": 2.0, "min": 0.9, "max": 5.0}


def test_an_operation_belongs_to_the_innermost_group_around_it() -> None:
    def event(name: str, parent: object = None) -> SimpleNamespace:
        return SimpleNamespace(name=name, cpu_parent=parent)

    prelu = event("_ChunkedPReLUBackward", event("autograd::engine::evaluate_function: _ChunkedPReLUBackward"))
    assert group(event("aten::addmv_", event("aten::mv", prelu))) == "activation"
    assert group(event("aten::mm", event("aten::linear"))) == "convolution"
    assert group(event("aten::_fused_sgd_", event("Optimizer.step#SGD.step"))) == "optimiser"
    assert group(event("aten::native_batch_norm", event("aten::batch_norm"))) == "normalisation"
    assert group(event("aten::add_")) == "other"


def test_report_is_a_table_and_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": "a", "speed": 12.34567, "spread": {"min": 1}},
        {"name": "longer", "speed": 2.0, "spread": {"min": 2}},
    ]
    common.report("it", {"steps": 3}, rows, more=1)
    *table, line = capsys.readouterr().out.splitlines()
    assert table == ["name    speed", "a       12.35", "longer  2"]
    read = json.loads(line)
    assert (read["benchmark"], read["config"], read["rows"], read["more"]) == ("it", {"steps": 3}, rows, 1)


def test_gpu_benchmark_options() -> None:
    args = cuda_step.parse([])
    assert args.networks == ["iresnet50", "iresnet100", "rrfnet28", "rrfnet56"]
    assert (args.batch, args.steps, args.repeats) == (None, 20, 5)
    quick = cuda_step.parse(["--quick"])
    assert (quick.networks, quick.batch, quick.steps, quick.repeats) == (["iresnet50"], 32, 3, 2)
    with pytest.raises(SystemExit):
        cuda_step.parse(["--networks", "vit"])


def test_gpu_benchmark_imports_without_the_pipelines_packages(repository: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('prefect', 'dvc', 'mlflow', 'pyarrow', 'webdataset', 'typer'):\n"
        "    sys.modules[name] = None\n"
        "import benchmarks.cuda_step\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
