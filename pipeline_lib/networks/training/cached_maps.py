"""What frozen networks see of the training images, computed once: an epoch then costs what is trained alone."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.errors import ParamsError, PipelineError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.progress import track
from pipeline_lib.core.world import World, sum_over_ranks
from pipeline_lib.networks.backbones.shared.checkpoints import code_digest
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.network import OverNetwork
from pipeline_lib.networks.training.augment import drawn_augmentation
from pipeline_lib.networks.training.checkpoint import tensor_bytes
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.trainee import mixed_precision, scaled

BLOCK = 64  # samples a file


@dataclass(frozen=True)
class MappedSet(TrainingSet):
    """A training set whose samples are rows of maps in place of pixels; which one is mirrored when stays as it was.

    Args:
        blocks: float32 (BLOCK,2,F) each, the last one shorter, on disk: OverNetwork.packed of each sample and its mirror image.
    """

    blocks: Sequence[npt.NDArray[np.float32]] = ()

    def load(
        self, samples: npt.NDArray[np.int64], shift_px: int, seed: int, epoch: int
    ) -> list[npt.NDArray[np.generic]]:
        """One view, float32 (B,F); see TrainingSet."""
        assert shift_px == 0, "Train.with_own leaves no shift to an entry whose maps are kept"
        mirrored, _, _ = drawn_augmentation(samples, shift_px, seed, epoch)
        blocks, rows = np.divmod(samples, BLOCK)
        places = zip(blocks.tolist(), rows, mirrored, strict=True)
        return [np.stack([self.blocks[block][row, side] for block, row, side in places])]


def mapped(dataset: TrainingSet, network: OverNetwork, folder: Path, world: World, batch_size: int) -> MappedSet:
    """The same samples as maps, from files below `folder` that are there, or are written now: each rank its share.

    They take 8 F bytes an image, with its mirror image; F is 25,856 for dlib_resnet's 4x4 cells beside MobileFaceNet's 7x6. They
    are of these images, networks and code (others are removed), and written whole, so that a training that was stopped
    goes on with those that it has.

    Args:
        dataset: whole faces, one view.
        network: moved to world.device.
        folder: on a disk that all ranks see.
        batch_size: images a forward pass.

    Raises:
        PipelineError: the files cannot be written, or not all ranks see them.
    """
    network.to(world.device)
    own = folder / f"maps-{_digest(dataset, network)}"
    num_blocks = -(-len(dataset) // BLOCK)
    paths = [own / f"{number:06d}.npy" for number in range(num_blocks)]
    missing = [number for number in range(world.rank, num_blocks, world.size) if not paths[number].exists()]
    try:
        if world.is_main:
            for other in folder.glob("maps-*"):
                if other != own:
                    shutil.rmtree(other)
        own.mkdir(parents=True, exist_ok=True)
        for number in track(missing, f"blocks of {BLOCK} images' maps", len(missing)):
            rows = range(number * BLOCK, min((number + 1) * BLOCK, len(dataset)))
            with atomic_file(paths[number]) as partial, partial.open("wb") as handle:
                np.save(handle, _block(dataset, network, rows, world, batch_size))
        sum_over_ranks(torch.zeros(1, device=world.device))  # all ranks' files are there
        blocks = [np.load(path, mmap_mode="r") for path in paths]
    except OSError as error:
        problem = "Maps of training images cannot be kept here, or not all processes see them."
        raise PipelineError(problem, got=error, where=own) from error
    return MappedSet(**{field.name: getattr(dataset, field.name) for field in fields(dataset)}, blocks=blocks)


def only_over(networks: Mapping[str, FaceNetwork], where: object) -> OverNetwork:
    """The one network of an entry with cache_maps.

    Raises:
        ParamsError: it stands on no frozen networks.
    """
    [network] = networks.values()
    if not isinstance(network, OverNetwork):
        problem = "Maps can be kept of frozen networks alone, and a finetuned one changes."
        raise ParamsError(problem, got="cache_maps: true", allowed="false, or no such key", where=where)
    return network


@torch.inference_mode()
def _block(
    dataset: TrainingSet, network: OverNetwork, rows: range, world: World, batch_size: int
) -> npt.NDArray[np.float32]:
    sides = []
    for mirrored in (0, 1):
        parts = []
        for first in range(0, len(rows), batch_size):
            samples = np.array(rows[first : first + batch_size], np.int64)
            unmoved = np.zeros_like(samples)
            (images,) = dataset.shown(samples, unmoved + mirrored, unmoved, unmoved)
            with mixed_precision(world.device):
                parts.append(network.packed(scaled(torch.from_numpy(images).to(world.device))).cpu().numpy())
        sides.append(np.concatenate(parts))
    return np.stack(sides, axis=1)


def _digest(dataset: TrainingSet, network: OverNetwork) -> str:
    found = hashlib.sha256(f"{dataset.digest} {code_digest(network)}".encode())
    for name, value in network.frozen.state_dict().items():
        found.update(name.encode())
        found.update(tensor_bytes(value))
    return found.hexdigest()[:16]
