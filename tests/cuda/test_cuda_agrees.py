"""On a CUDA device, where there is one: what is computed there is what the CPU computes, up to what bfloat16 leaves."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import HEAD, changed, train_in_a_process
from tiny_training import TRAIN as TINY_TRAIN

from pipeline_lib.core.world import World
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.matching.emd.patches import unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.networks.backbones import bagnet, iresnet, mobilefacenet, vit
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.train import Train
from tests.networks.heads.some_heads import KINDS, settings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
TINY = {"blocks": (1, 1, 1, 1), "width": 0.25, "embedding_dim": 64}
SPECS = {
    "iresnet": iresnet.Spec(**TINY),
    "rrfnet28": iresnet.Spec(**TINY, patches={"side_px": 28, "layout": "no_corners33", "mask_share": 0.2}),
    "rrfnet56": iresnet.Spec(**TINY, patches={"side_px": 56, "layout": "cross5", "mask_share": 0.2}),
    "mobilefacenet": mobilefacenet.Spec(),
    "bagnet33": bagnet.Spec(field_px=33, **TINY),
    "vit": vit.Spec(width=0.125, embedding_dim=64, depth=2, heads=4, token_px=16),
}
TRAIN = changed(TINY_TRAIN, batch_size=32)


def faces(num: int) -> np.ndarray:
    """Blurred noise, uint8 (num,112,112,3)."""
    small = np.random.default_rng(0).uniform(0, 255, (num, 3, 14, 14))
    large = torch.nn.functional.interpolate(torch.from_numpy(small), size=112, mode="bilinear")
    return large.permute(0, 2, 3, 1).numpy().astype(np.uint8)


def losses(spec: NetworkSpec, train: Train, device: torch.device, num_steps: int = 3) -> list[float]:
    """Of steps on one batch, in two micro-batches."""
    network = build_network(spec, seed=1)
    learner = Learner({"it": new_trainee(network, HEAD, train, 8)}, train, World(0, 0, 1, device))
    rng = np.random.default_rng(0)
    kept = [network.draw(rng) for _ in range(32)]
    masks = None if kept[0] is None else np.stack(kept)
    batch = Batch([faces(32)], np.arange(32, dtype=np.int64) % 8, masks, None, np.arange(32))
    for _ in range(num_steps):
        learner.take_step(micro_batches(batch, [0], 16, device), 0.02)
    return learner.figures()[0, 0].tolist()


@pytest.mark.parametrize(
    ("name", "compiled"), [*((name, False) for name in SPECS), ("iresnet", True), ("rrfnet28", True)]
)
def test_three_steps_in_bfloat16_are_those_of_the_cpu(name: str, compiled: bool) -> None:
    expected = losses(SPECS[name], TRAIN, CPU)
    found = losses(SPECS[name], changed(TRAIN, compile=compiled), CUDA)
    # 8 bits a value: 0.4 % of the cosines, which scale 8 makes 0.03 of the loss; more after two steps
    assert found[0] == pytest.approx(expected[0], abs=0.03)  # before any update
    assert found == pytest.approx(expected, abs=0.15), (found, expected)
    assert expected[0] - expected[2] > 1  # several times what is allowed: the steps are not lost in it


def test_networks_computed_as_one_learn_what_each_does_alone() -> None:
    spec = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=64, input_px=28)
    batch = Batch([faces(32)[:, :28, :28], faces(32)[:, 28:56, 28:56]], np.arange(32) % 8, None, None, np.arange(32))
    world = World(0, 0, 1, CUDA)

    def steps(views: list[int]) -> torch.Tensor:
        trainees = {str(view): new_trainee(build_network(spec, view), HEAD, TRAIN, 8) for view in views}
        learner = Learner(trainees, TRAIN, world)
        for _ in range(3):
            learner.take_step(micro_batches(batch, views, 32, CUDA), 0.02)
        return learner.figures()[:, 0].cpu()

    alone, as_one = torch.cat([steps([0]), steps([1])]), steps([0, 1])
    torch.testing.assert_close(as_one, alone, rtol=0, atol=0.1)  # bfloat16, as above
    assert (alone[:, 0] - alone[:, 2] > 0.5).all()


@pytest.mark.parametrize("name", SPECS)
def test_embeddings_are_those_of_the_cpu(name: str) -> None:
    network = build_network(SPECS[name], seed=1).eval()
    images = faces(8)
    expected = embed_images(network, images, True, 4)
    found = embed_images(network.to(CUDA), images, True, 4)
    for there, here in zip(found, expected, strict=True):
        cosines = torch.cosine_similarity(torch.from_numpy(there), torch.from_numpy(here), dim=-1)
        assert cosines.min() > 0.999  # bfloat16


def test_faces_that_mmod_finds_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(0)
    photos = [render_photo([sample_identity(rng)], rng, side_px)[0] for side_px in (220, 220, 250)]
    for min_face_px in (40, 80):
        expected = make_detector("mmod", None, 0.0, min_face_px).detect(photos)
        found = make_detector("mmod", None, 0.0, min_face_px, "cuda").detect(photos)
        for (there,), (here,) in zip(found, expected, strict=True):
            # cuDNN may multiply in TF32, 10 bits: of two neighbouring windows that score nearly alike either may come first
            np.testing.assert_allclose(there.box, here.box, atol=0.25 * float(here.box[2] - here.box[0]))
            assert there.score == pytest.approx(here.score, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_those_of_the_cpu(kind: str) -> None:
    head = build_head(settings(kind, 64.0, 0.0 if kind == "normface" else 0.3), 64, 50, 0)
    there = copy.deepcopy(head).to(CUDA)
    generator = torch.Generator().manual_seed(0)
    embeddings, noise = torch.randn(16, 64, generator=generator) * 5, torch.randn(16, generator=generator)
    labels = torch.randint(50, (16,), generator=generator)
    x, z = embeddings.clone().requires_grad_(), embeddings.to(CUDA).requires_grad_()
    loss, other = head(x, labels, noise), there(z, labels.to(CUDA), noise.to(CUDA))
    loss.backward()
    other.backward()
    torch.testing.assert_close(other.cpu(), loss, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(z.grad.cpu(), x.grad, rtol=1e-3, atol=1e-6)  # float32 throughout, other order of sums


def test_partial_fc_is_that_of_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    results = []
    for device in (CPU, CUDA):
        head = PartialFC(settings("arcface", 16.0, 0.3), 64, 500, rate=0.1).to(device)
        generator.manual_seed(0)
        for _ in range(3):
            embeddings = torch.randn(16, 64, generator=generator).to(device).requires_grad_()
            loss = head(embeddings, torch.randint(500, (16,), generator=generator).to(device))
            loss.backward()
            head.sgd_step(0.1, 0.9, 5e-4)
        results.append((loss.detach().cpu(), embeddings.grad.cpu(), head.weight.cpu()))
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-5)  # the same classes, or rows would differ by 1e-2


def test_emd_is_that_of_the_cpu() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(1, 49, 64)) + 1
    a, b = (unit_patches((common + 0.7 * rng.normal(size=(20, 49, 64))).astype(np.float32)) for _ in range(2))
    pairs = np.stack(np.divmod(np.arange(400, dtype=np.int64), 20), axis=1)
    on_gpu = [patches.to(CUDA) for patches in (a, b)]
    expected = emd_similarities(a, b, pairs, "apc", Sinkhorn())
    found = emd_similarities(*on_gpu, pairs, "apc", Sinkhorn())
    # where a pair stops is a matter of its tolerance, 1e-4 of the mass, twice which bounds the score
    np.testing.assert_allclose(found[0], expected[0], atol=2e-4)
    assert found[1].all()
    assert expected[1].all()


def train(folder: Path, repository: Path, *options: str) -> int:
    """Exit code of a training over nccl."""
    return train_in_a_process(folder, repository, "--network", "plain", "--checkpoint-every", "3", *options)


@pytest.mark.parametrize(("signal", "code"), [("SIGTERM", 3), ("SIGKILL", -9)])
def test_a_stopped_training_goes_on(signal: str, code: int, tmp_path: Path, repository: Path) -> None:
    assert train(tmp_path / "whole", repository) == 0
    assert train(tmp_path / "stopped", repository, "--signal", signal, "--signal-step", "5") == code
    assert train(tmp_path / "stopped", repository) == 0
    assert "training goes on after step" in (tmp_path / "stopped" / "rank0.txt").read_text()
    whole, stopped = (
        [row["loss"] for row in json.loads((tmp_path / name / "history.json").read_text())]
        for name in ("whole", "stopped")
    )
    assert len(whole) == 12
    # One linear layer: what a network with batch normalisation makes of bfloat16 and cuDNN's free order of sums in 12
    # steps with batches of 6 is larger than what losing a step would do (seen: 2 of a loss of 3).
    assert stopped == pytest.approx(whole, abs=0.01)
    assert whole[0] - whole[-1] > 0.3
