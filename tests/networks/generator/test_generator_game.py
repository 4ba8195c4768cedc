"""The two players: sizes, losses worked by hand, the penalty against finite differences, steps and running mean."""

import math

import pytest
import torch
from tiny_generator import SETTINGS
from torch import nn

from pipeline_lib.networks.generator.architecture import (
    Discriminator,
    FakeFaces,
    GeneratorNetwork,
    ResidualBlock,
    channels_from_start,
    draw_weights,
)
from pipeline_lib.networks.generator.game import Game
from pipeline_lib.networks.generator.losses import discriminator_loss, generator_loss, r1_penalty

CPU = torch.device("cpu")


def test_channels_double_towards_the_start_up_to_a_limit() -> None:
    assert channels_from_start(56, 8, 128) == [64, 32, 16, 8]
    assert channels_from_start(112, 16, 100) == [100, 100, 64, 32, 16]


@pytest.mark.parametrize("side", [28, 56, 112])
def test_faces_of_any_side_become_112_px_and_are_judged_one_by_one(side: int) -> None:
    generator, discriminator = GeneratorNetwork(5, side, 2, 8), Discriminator(side, 2, 8)
    latents = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    faces = generator(latents)
    assert faces.shape == (3, 3, side, side)
    assert FakeFaces(generator)(latents).shape == (3, 3, 112, 112)
    torch.testing.assert_close(discriminator(faces)[1:2], discriminator(faces[1:2]))  # nothing looks at the batch


def test_faces_of_112_px_leave_the_last_layer_as_they_are() -> None:
    generator = GeneratorNetwork(5, 112, 1, 4)
    latents = torch.ones(1, 5)
    assert torch.equal(FakeFaces(generator)(latents), generator(latents))


def test_a_latents_length_tells_nothing() -> None:
    generator = GeneratorNetwork(5, 28, 2, 8)
    latents = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(generator(latents), generator(3 * latents))


def test_a_block_adds_a_tenth_of_what_its_convolutions_say() -> None:
    block = ResidualBlock(1, 1)
    for layer in block.change:
        if isinstance(layer, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            layer.weight.data[0, 0, 1, 1] = 1.0
            nn.init.zeros_(layer.bias)
    x = torch.tensor([2.0, -1.0]).reshape(1, 1, 1, 2)
    expected = [2.0 + 0.1 * 2.0, -1.0 - 0.1 * 0.2 * 0.2]  # the leaky ReLU twice
    torch.testing.assert_close(block(x).flatten(), torch.tensor(expected))


def test_drawn_weights_keep_a_signals_size_and_the_players_begin_undecided() -> None:
    generator, discriminator = GeneratorNetwork(256, 28, 8, 64), Discriminator(28, 8, 64)
    drawn = torch.Generator().manual_seed(0)
    draw_weights(generator, drawn)
    draw_weights(discriminator, drawn)
    assert generator.start.weight.std().item() == pytest.approx(math.sqrt(2 / 1.04 / 256), rel=0.02)
    assert not generator(torch.randn(2, 256)).any()
    assert not discriminator(torch.randn(2, 3, 28, 28)).any()


def test_losses_by_hand() -> None:
    zeros, sure = torch.zeros(3), torch.tensor([math.log(3.0)])  # sigmoid 3/4
    assert discriminator_loss(zeros, zeros[:2]).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(zeros).item() == pytest.approx(math.log(2))
    assert discriminator_loss(sure, -sure).item() == pytest.approx(2 * math.log(4 / 3))
    assert generator_loss(-sure).item() == pytest.approx(math.log(4))
    assert torch.isfinite(discriminator_loss(torch.tensor([-1e4]), torch.tensor([1e4])))


def test_the_penalty_of_a_linear_discriminator_and_its_gradient() -> None:
    weights = torch.tensor([1.0, -2.0, 2.0], requires_grad=True)
    faces = torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(0)).requires_grad_()
    penalty = r1_penalty(faces.flatten(1) @ weights, faces, gamma=10.0)
    assert penalty.item() == pytest.approx(10 / 2 * 9)  # whatever the faces
    penalty.backward()
    torch.testing.assert_close(weights.grad, 10 * weights.detach())


def test_the_penalty_is_that_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    discriminator = Discriminator(28, 1, 1).double()
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    faces = torch.randn(1, 3, 28, 28, generator=generator, dtype=torch.float64)

    steps = 1e-6 * torch.eye(faces.numel(), dtype=torch.float64).view(-1, *faces.shape[1:])
    with torch.no_grad():
        slopes = (discriminator(faces + steps) - discriminator(faces - steps)) / 2e-6
    faces.requires_grad_()
    assert r1_penalty(discriminator(faces), faces, 2.0).item() == pytest.approx(slopes.square().sum().item(), rel=1e-5)


def test_steps_are_functions_of_seed_and_step_and_the_mean_follows() -> None:
    first, second = Game(SETTINGS, CPU), Game(SETTINGS, CPU)
    mean = [parameter.clone() for parameter in first.average.parameters()]
    for step in range(4):
        faces = torch.full((2, 3, 28, 28), 0.5)
        losses = [game.take_step(faces.clone(), step) for game in (first, second)]
        assert torch.equal(*losses)
        assert (losses[0][2] > 0) == (step in (2,))  # a discriminator that begins at 0 has no slope at step 0
        decay = min(0.9, (1 + step) / (10 + step))
        mean = [decay * old + (1 - decay) * new for old, new in zip(mean, first.generator.parameters(), strict=True)]
    for parameter, expected in zip(first.average.parameters(), mean, strict=True):
        torch.testing.assert_close(parameter, expected)
    states = first.state(), second.state()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_fakes_learn_the_colour_of_the_faces() -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 0.01})
    game = Game(settings, CPU)
    colour = torch.tensor([0.5, -0.5, 0.0]).reshape(1, 3, 1, 1)
    for step in range(40):
        game.take_step(colour.expand(4, 3, 28, 28).clone(), step)
    with torch.no_grad():
        made = game.average(torch.randn(8, 4)).mean(dim=(0, 2, 3))
    assert (made - colour.flatten()).abs().max() < 0.3
