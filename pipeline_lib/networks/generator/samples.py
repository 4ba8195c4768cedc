"""What the discriminator is shown of the training faces, and what latents faces are made of."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline_lib.core.pixels import network_scale
from pipeline_lib.data.shards.plan import epoch_plan, steps_per_epoch
from pipeline_lib.networks.training.augment import drawn_augmentation
from pipeline_lib.networks.training.data import TrainingSet

Floats = npt.NDArray[np.float32]


def batches_from(
    step: int, num_steps: int, num_samples: int, batch_size: int, seed: int
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Epoch and samples (batch_size,) of every step from `step` to `num_steps`, counted from 0: a step has the same whether
    or not training was interrupted before it (epoch_plan).
    """
    num_whole = steps_per_epoch(num_samples, batch_size)
    while step < num_steps:
        epoch, place = divmod(step, num_whole)
        plan = epoch_plan(num_samples, 1, 0, batch_size, seed, epoch)[place : place + num_steps - step]
        yield from ((epoch, samples) for samples in plan)
        step += len(plan)


def load_faces(dataset: TrainingSet, samples: npt.NDArray[np.int64], side_px: int, seed: int, epoch: int) -> Floats:
    """Faces as the discriminator sees them: mirrored or not, as (seed, epoch, sample) has it, and brought to `side_px`.

    Returns:
        float32 (B,3,side_px,side_px) in [-1, 1], in the memory of (B,side_px,side_px,3).

    Raises:
        DataError: see TrainingSet.load.
    """
    (stored,) = dataset.shown(samples, *drawn_augmentation(samples, 0, seed, epoch))
    return np.moveaxis(network_scale(smaller(stored, side_px)), 3, 1)


def smaller(images: npt.NDArray[np.uint8], side_px: int) -> Floats:
    """Means of k x k pixels, k = S/side_px: uint8 (B,S,S,C) to float32 (B,side_px,side_px,C) in 0..255."""
    size, num_channels = images.shape[1], images.shape[3]
    factor = size // side_px
    assert factor * side_px == size, "the sides that params.generators allows divide a face's"
    tiled = images.reshape(len(images), side_px, factor, side_px, factor, num_channels)
    return np.asarray(tiled.mean(axis=(2, 4), dtype=np.float32))


def draw_latents(num: int, latent_dim: int, seed: int, step: int) -> Floats:
    """float32 (num,latent_dim) from N(0,1), a function of (seed, step)."""
    return np.random.default_rng([seed % 2**64, step]).standard_normal((num, latent_dim), np.float32)


@torch.inference_mode()
def make_faces(network: nn.Module, latents: Floats, device: torch.device, batch_size: int) -> npt.NDArray[np.uint8]:
    """Faces of latents (N,d) as pixels, uint8 RGB (N,S,S,3); `network` gives (B,3,S,S) in [-1, 1]."""
    network = network.to(device).eval()
    parts = [network(part.to(device)) for part in torch.split(torch.from_numpy(latents), batch_size)]
    faces = torch.cat(parts).permute(0, 2, 3, 1).cpu().numpy()
    return np.rint(255 * (faces + 1) / 2).clip(0, 255).astype(np.uint8)
