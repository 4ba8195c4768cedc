"""Generator and discriminator in training, with the generator's running mean: a step, and the state to go on from."""

import copy

import torch
from torch import Tensor, nn

from pipeline_lib.networks.generator.architecture import Discriminator, GeneratorNetwork, draw_weights
from pipeline_lib.networks.generator.losses import discriminator_loss, generator_loss, r1_penalty
from pipeline_lib.networks.generator.samples import draw_latents
from pipeline_lib.params.generators import Generator

LOSSES = ("discriminator", "generator", "r1")
BETAS = (0.0, 0.99)  # Adam without a first moment: the paper's RMSProp, less its start's bias


class Game:
    """The two players and how they learn.

    Attributes:
        average: the generator whose weights are the running mean, decay `ema_decay`, of the trained one's.
    """

    def __init__(self, settings: Generator, device: torch.device) -> None:
        self.settings, self.device = settings, device
        sizes = (settings.side_px, settings.width, settings.max_channels)
        self.generator = GeneratorNetwork(settings.latent_dim, *sizes)
        self.discriminator = Discriminator(*sizes)
        drawn = torch.Generator().manual_seed(settings.seed)
        for network in (self.generator, self.discriminator):
            draw_weights(network, drawn)
            network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self._optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=BETAS)
            for name, network in self._players().items()
        }
        for optimiser in self._optimisers.values():
            _begin(optimiser)

    def take_step(self, faces: Tensor, step: int) -> Tensor:
        """One step of the discriminator on `faces` and as many fakes, one of the generator on others, one of the mean.

        Args:
            faces: real, float32 (B,3,S,S) in [-1, 1], on the device.
            step: counts from 0; the latents are a function of (seed, step).

        Returns:
            float32 (3,), the losses in the order of LOSSES, on the device; r1 is what the penalty adds, 0 in a step without it.
        """
        latents = self._latents(step, 2 * len(faces))
        penalised = step % self.settings.r1_every_steps == 0
        with torch.no_grad():
            fakes = self.generator(latents[: len(faces)])
        real = self.discriminator(faces.requires_grad_(penalised))
        told = discriminator_loss(real, self.discriminator(fakes))
        r1 = torch.zeros_like(told)
        if penalised:
            r1 = r1_penalty(real, faces, self.settings.r1_every_steps * self.settings.r1_gamma)
        self._descend("discriminator", told + r1)

        self.discriminator.requires_grad_(False)
        passed = generator_loss(self.discriminator(self.generator(latents[len(faces) :])))
        self._descend("generator", passed)
        self.discriminator.requires_grad_(True)

        # In the first steps the mean would hold little else than the weights drawn.
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        for mean, weight in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(weight.detach(), 1 - decay)
        return torch.stack([told, passed, r1]).detach()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training goes on from, by name; the game's own, to be read or written in place."""
        tensors: dict[str, Tensor] = {}
        for name, network in {**self._players(), "average": self.average}.items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimiser in self._optimisers.items():
            for number, state in enumerate(optimiser.state.values()):
                tensors |= {f"adam.{name}.{number}.{key}": value for key, value in state.items()}
        return tensors

    def _players(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def _latents(self, step: int, num: int) -> Tensor:
        return torch.from_numpy(draw_latents(num, self.settings.latent_dim, self.settings.seed, step)).to(self.device)

    def _descend(self, player: str, loss: Tensor) -> None:
        self._optimisers[player].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimisers[player].step()


def _begin(optimiser: torch.optim.Adam) -> None:
    """Give every weight its state now, as Adam does at the first step, so that a checkpoint can be put into it."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            moments = {key: torch.zeros_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
            optimiser.state[parameter] = {"step": torch.tensor(0.0), **moments}
