"""PGD: the bound, the way down, what it costs, and that images do not know of each other."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.attack.pgd import Perturbed, pgd
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.params.attacks import Attack
from tests.networks.embedding.fitted_networks import SPECS, network, pictures

SETTINGS = Attack(network="it", epsilon=4, num_steps=3, step_size=1.5, max_query_images=None, seed=1)


class Linear(FaceNetwork):
    """e = W x, whose gradients can be written down; it counts its passes."""

    def __init__(self, num_values: int = 4) -> None:
        super().__init__(SPECS["iresnet"])
        self.weight = nn.Parameter(torch.randn(num_values, 3 * 112 * 112, generator=torch.Generator().manual_seed(0)))
        self.passes: list[int] = []

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.passes.append(int(images.requires_grad))
        return images.flatten(1) @ self.weight.T, images.new_zeros(len(images), 0, 0)


def no_start(images: np.ndarray) -> np.ndarray:
    return np.zeros(images.shape, np.float32)


def own_of(model: FaceNetwork, images: np.ndarray, mirror: bool = False) -> np.ndarray:
    return unit(embed_images(model, images, mirror, 4, with_patches=False)[0])


def attack(
    model: FaceNetwork, images: np.ndarray, own: np.ndarray, mirror: bool = False, **changes: object
) -> Perturbed:
    rng = np.random.default_rng(3)
    settings = SETTINGS.model_copy(update=changes)
    starts = rng.uniform(-settings.epsilon, settings.epsilon, images.shape).astype(np.float32)
    return pgd(model, mirror, images, own, starts, settings)


@pytest.mark.parametrize(("name", "mirror"), [("iresnet", False), ("iresnet", True), ("rrfnet56", False)])
def test_the_cosine_falls_within_the_bound(name: str, mirror: bool) -> None:
    model, images = network(SPECS[name]).requires_grad_(False), pictures(2)
    # the other image's: at its own an image is at the top of the hill, from where every way is down
    own = own_of(model, images[::-1].copy(), mirror)
    found = attack(model, images, own, mirror, num_steps=4)
    changes = np.abs(found.images.astype(int) - images)
    assert (found.images.dtype, found.images.shape) == (np.uint8, images.shape)
    assert changes.max() == SETTINGS.epsilon
    np.testing.assert_allclose(found.before, (own_of(model, images, mirror) * own).sum(axis=1), atol=1e-5)
    assert (found.after < found.before - 0.01).all()
    again = own_of(model, found.images, mirror)
    np.testing.assert_allclose(found.after, (again * own).sum(axis=1), atol=1e-5)  # of the whole values that are stored


def test_a_step_is_that_of_the_gradient_written_down() -> None:
    model = Linear()
    images = pictures(1, seed=5)
    own = unit(np.random.default_rng(0).normal(size=(1, 4)))
    found = pgd(model, False, images, own, no_start(images), SETTINGS.model_copy(update={"num_steps": 1}))
    weight = model.weight.detach().double().numpy()
    x = images[0].transpose(2, 0, 1).reshape(-1) / 127.5 - 1.0
    e = weight @ x
    length = np.linalg.norm(e)
    gradient = weight.T @ (own[0] / length - e * (e @ own[0]) / length**3)  # of cos(e, own)
    sure = np.abs(gradient) > 1e-3 * np.abs(gradient).max()  # elsewhere float32 may round to the other side
    step = np.clip(images[0].transpose(2, 0, 1).reshape(-1) - 1.5 * np.sign(gradient), 0, 255).round()
    np.testing.assert_array_equal(found.images[0].transpose(2, 0, 1).reshape(-1)[sure], step[sure])
    assert sure.mean() > 0.99


@pytest.mark.parametrize(("mirror", "passes"), [(False, 1), (True, 2)])
def test_a_step_is_one_gradient(mirror: bool, passes: int) -> None:
    model, images = Linear(), pictures(2)
    own = unit(np.ones((2, 4)))
    model.passes.clear()
    pgd(model, mirror, images, own, no_start(images), SETTINGS)
    assert model.passes == [1] * passes * SETTINGS.num_steps + [0] * passes * 2  # the last: before and after
    assert model.weight.grad is None


def test_the_edges_of_the_range_hold() -> None:
    model = Linear()
    for value in (0, 255):
        images = np.full((1, 112, 112, 3), value, np.uint8)
        found = attack(model, images, unit(np.ones((1, 4))), epsilon=255, num_steps=2, step_size=300.0)
        assert set(np.unique(found.images)) == {0, 255}


def test_a_black_image_and_one_alone_in_its_direction() -> None:
    """A network that gives a black image the vector 0 has no gradient there: nothing to follow, and nothing breaks."""
    model, images = Linear(), np.full((1, 112, 112, 3), 0, np.uint8)
    own = unit(np.ones((1, 4)))
    found = attack(model, images, own)
    assert np.abs(found.images.astype(int)).max() <= SETTINGS.epsilon
    with torch.no_grad():
        model.weight.zero_()
    still = pgd(model, False, images, own, no_start(images), SETTINGS)
    np.testing.assert_array_equal(still.images, images)
    np.testing.assert_array_equal(still.after, still.before)


def test_batches_do_not_matter() -> None:
    model, images = network(SPECS["iresnet"]).requires_grad_(False), pictures(3)
    own = own_of(model, images[::-1].copy())
    rng = np.random.default_rng(0)
    starts = rng.uniform(-4, 4, images.shape).astype(np.float32)
    together = pgd(model, True, images, own, starts, SETTINGS)
    for size in (1, 2):
        parts = [
            pgd(model, True, images[i : i + size], own[i : i + size], starts[i : i + size], SETTINGS)
            for i in range(0, 3, size)
        ]
        apart = np.concatenate([part.images for part in parts])
        # where a gradient is within rounding of zero its sign may be the other one: few values, and hardly the cosine
        assert (apart != together.images).mean() < 0.02
        np.testing.assert_allclose(np.concatenate([part.after for part in parts]), together.after, atol=2e-3)


def test_a_gradient_that_is_not_finite_is_named() -> None:
    model, images = Linear(), pictures(1)
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    with pytest.raises(DataError, match=r"gradient is not finite[\s\S]*it"):
        attack(model, images, unit(np.ones((1, 4))))
