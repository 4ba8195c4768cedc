"""generator.pt: a generator as TorchScript, which whoever wants faces runs without this package."""

import io
import zipfile
from pathlib import Path

import torch

from pipeline_lib.core.files import atomic_file
from pipeline_lib.networks.generator.architecture import FakeFaces, GeneratorNetwork

EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's first date


def write_generator(path: Path, network: GeneratorNetwork) -> None:
    """Write FakeFaces(network); equal weights give equal bytes in the first file that a process writes, wherever the checkout
    lies. (PyTorch numbers the classes of later ones on.)

    It is frozen: its weights are constants, which torch.jit.load puts where `map_location` says and `to` does not move. Not
    frozen, its attributes come in the order of Python's hashes, another one in every process. What PyTorch adds for
    tracebacks, the source's places on this disk, is left out.
    """
    scripted = torch.jit.script(FakeFaces(network.cpu()).eval())
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.freeze(scripted, preserved_attrs=["latent_dim"], optimize_numerics=False), buffer)
    with atomic_file(path) as partial:
        _write_without_places(buffer, partial)


def _write_without_places(archive: io.BytesIO, path: Path) -> None:
    """Copy a TorchScript archive without its *.debug_pkl, with fixed dates."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for entry in source.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(entry.filename, EPOCH), source.read(entry))
