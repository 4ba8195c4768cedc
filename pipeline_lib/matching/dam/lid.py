"""DAM-L: the local inter-class discrepancy G(f) by a small regressor instead of an anchor search (DAM, 3.2)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.files import atomic_file, read_json, write_json
from pipeline_lib.matching.dam.dam import Doubles
from pipeline_lib.params.anchors import Lid

log = logging.getLogger("face_verifier")
LID_FOLDER, WEIGHTS, DESCRIPTION = "lid", "lid.safetensors", "lid.json"
NUMBERS = ("dim", "hidden_dim", "scale", "num_neighbours")
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4  # the paper's, section 4.1
LOG_EVERY_STEPS = 1000
QUERY_BLOCK = 65536


class LidRegressor(nn.Module):
    """M(f) = μ + σ·fc2(relu(fc1(√D·f/‖f‖))) ~ G(f) (DAM, eq. 7: two fully connected layers with ReLU).

    μ and σ are the mean and standard deviation of G on the training images, and √D gives the inputs entries of about 1:
    with raw targets and entries of 1/√D the paper's learning rate would have to fit the offset of G first. The estimate
    is clipped to [k·exp(-s), k·exp(s)], the range G has by its definition, so that log G exists.

    Args:
        dim: D. hidden_dim: length of fc1's output.
        scale, num_neighbours: s and k of the G that is estimated.
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, dim: int, hidden_dim: int, scale: float, num_neighbours: int) -> None:
        super().__init__()
        self.dim, self.hidden_dim, self.scale, self.num_neighbours = dim, hidden_dim, scale, num_neighbours
        self.fc1, self.fc2 = nn.Linear(dim, hidden_dim), nn.Linear(hidden_dim, 1)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, directions: torch.Tensor) -> torch.Tensor:
        """Standardised G, (B,), of unit vectors float32 (B, D)."""
        hidden = torch.relu(self.fc1(directions * self.dim**0.5))
        out: torch.Tensor = self.fc2(hidden).squeeze(1)
        return out

    @torch.inference_mode()
    def log_lid(self, vectors: npt.ArrayLike) -> Doubles:
        """log of the estimated G, float64 (N,), of embeddings (N, D), normalised here.

        Raises:
            DataError: D is another, or see cosine.unit.
        """
        directions = unit(vectors)
        if directions.ndim != 2 or directions.shape[1] != self.dim:
            raise DataError(
                "The regressor of G is another network's.", got=directions.shape, allowed=f"(N, {self.dim})"
            )
        parts = [directions[first : first + QUERY_BLOCK] for first in range(0, len(directions), QUERY_BLOCK)]
        outputs = [self(torch.from_numpy(part)).numpy().astype(np.float64) for part in parts]
        estimate = self.mean.item() + self.spread.item() * np.concatenate([np.zeros(0), *outputs])
        widest = np.log(self.num_neighbours)
        return np.asarray(np.log(np.clip(estimate, np.exp(widest - self.scale), np.exp(widest + self.scale))))

    def state(self) -> dict[str, Any]:
        """What of_state makes an equal regressor of: its numbers, its arrays by name."""
        arrays = {name: value.numpy() for name, value in self.state_dict().items()}
        return {name: getattr(self, name) for name in NUMBERS} | arrays

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "LidRegressor":
        """The regressor of a state, which may hold other keys, too."""
        model = cls(**{name: state[name] for name in NUMBERS})
        model.load_state_dict({name: torch.from_numpy(state[name]) for name in model.state_dict()})
        return model.eval()


def fit_lid(
    vectors: npt.ArrayLike, log_lids: Doubles, scale: float, num_neighbours: int, settings: Lid, seed: int
) -> LidRegressor:
    """Regress G from embeddings by least squares, E ‖M(f) - G(f)‖² (DAM, eq. 7), G itself and not its logarithm.

    SGD with the paper's momentum and weight decay; the rate falls to a tenth at each of settings.decay_steps. The squared
    error is that of the standardised target, which has the same minimiser.

    Args:
        vectors: (N, D), training embeddings.
        log_lids: float64 (N,), their log G (nearest_cosines without the own identity, then log_lid).
        scale, num_neighbours: s and k of that G.
        settings: of the training; the paper's: 30,000 steps of 512, 1e-3, divided by 10 at 15,000, 20,000 and 25,000.
        seed: fixes initial weights and batches.

    Raises:
        DataError: no images, a G that is not finite, or training diverged (the learning rate is too high).
    """
    directions, targets = torch.from_numpy(unit(vectors)), np.exp(log_lids)
    if (
        directions.ndim != 2
        or targets.shape != (len(directions),)
        or not len(targets)
        or not np.isfinite(targets).all()
    ):
        got = f"{tuple(directions.shape)} embeddings, {targets.shape} discrepancies"
        raise DataError("The regressor of G needs one finite G an embedding.", got=got, where="anchors: scale")
    generator = torch.Generator().manual_seed(seed)
    model = LidRegressor(directions.shape[1], settings.hidden_dim, scale, num_neighbours)
    _initialise(model, generator)
    model.mean.fill_(float(targets.mean()))
    model.spread.fill_(float(targets.std()) or 1.0)  # all G equal: the target is 0 everywhere
    wanted = torch.from_numpy(((targets - targets.mean()) / model.spread.item()).astype(np.float32))
    optimiser = torch.optim.SGD(model.parameters(), settings.learning_rate, MOMENTUM, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, settings.decay_steps, gamma=0.1)
    for step in range(1, settings.num_steps + 1):
        rows = torch.randint(len(wanted), (settings.batch_size,), generator=generator)
        loss = nn.functional.mse_loss(model(directions[rows]), wanted[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % LOG_EVERY_STEPS == 0 or step == settings.num_steps:
            log.info("DAM-L step %d/%d: squared error %.3f of the variance of G", step, settings.num_steps, loss.item())
    if not all(torch.isfinite(value).all() for value in model.parameters()):
        where = "anchors: lid.learning_rate"
        raise DataError(
            "The regressor of G diverged; lower its learning rate.", got=settings.learning_rate, where=where
        )
    return model.eval()


def write_lid(folder: Path, model: LidRegressor) -> None:
    """Write lid.safetensors and lid.json below `folder`."""
    with atomic_file(folder / WEIGHTS) as partial:
        save_file(model.state_dict(), partial)
    write_json(folder / DESCRIPTION, {name: getattr(model, name) for name in NUMBERS})


def read_lid(folder: Path, scale: float, num_neighbours: int) -> LidRegressor:
    """Read a regressor, of the G with s = `scale` and k = `num_neighbours`.

    Raises:
        CheckpointError: a file is missing or damaged, or it was trained for another s or k.
    """
    try:
        model = LidRegressor(**read_json(folder / DESCRIPTION))
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (DataError, SafetensorError, OSError, RuntimeError, TypeError) as error:
        problem = "The regressor of G is missing or damaged; run the build_anchors stage."
        raise CheckpointError(problem, got=error, where=folder) from error
    if (model.scale, model.num_neighbours) != (scale, num_neighbours):
        got, allowed = (model.scale, model.num_neighbours), (scale, num_neighbours)
        raise CheckpointError("The regressor of G has another s or k.", got=got, allowed=allowed, where=folder)
    return model.eval()


def _initialise(model: LidRegressor, generator: torch.Generator) -> None:
    """PyTorch's own uniform ±1/√fan_in for weights and biases, drawn from our generator."""
    for layer in (model.fc1, model.fc2):
        bound = layer.in_features**-0.5
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
