"""Networks on disk: network.safetensors and network.json, and the import of other people's weights."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.files import atomic_file, read_json, write_json
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec

WEIGHTS, DESCRIPTION = "network.safetensors", "network.json"
FORMAT = 1
CONTAINERS = ("net_state_dict", "state_dict", "model")  # keys under which training scripts file a state dict
MAX_NAMED = 8


def save_network(folder: Path, network: FaceNetwork) -> None:
    """Write `network` as network.safetensors and network.json below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / WEIGHTS) as partial:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
    write_json(folder / DESCRIPTION, {"format": FORMAT, "spec": network.spec.to_json()})


def load_network(folder: Path) -> FaceNetwork:
    """Read what save_network wrote; the network is in eval mode and on the CPU.

    Raises:
        CheckpointError: a file is missing or truncated, of a later format, or its tensors are not the network's;
            names keys and shapes.
    """
    path = folder / DESCRIPTION
    try:
        description = read_json(path)
    except DataError as error:
        raise CheckpointError(
            "A network's description is missing or damaged; rerun its training stage.", got=error, where=path
        ) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        got = description.get("format") if isinstance(description, dict) else type(description).__name__
        raise CheckpointError("A network's description has another format.", got=got, allowed=FORMAT, where=path)
    spec = NetworkSpec.from_json(description.get("spec", {}), where=path)
    network = build_network(spec)
    load_tensors(network, read_safetensors(folder / WEIGHTS), where=folder / WEIGHTS)
    return network.eval()


def import_weights(network: FaceNetwork, path: Path) -> None:
    """Load somebody else's checkpoint into `network`: .safetensors, or a PyTorch file read with weights_only=True.

    The tensors may lie in a container (net_state_dict, state_dict, model) and carry DataParallel's `module.` prefix.
    For an RRFNet, tensors without the prefix `backbone.`, those of a network of patches, go into its backbone.

    Raises:
        CheckpointError: the file is missing, unreadable, holds no tensors, or they are not the network's.
    """
    tensors = read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    into: nn.Module = network
    if isinstance(network, RRFNet) and not any(name.startswith("backbone.") for name in tensors):
        into = network.backbone
    load_tensors(into, tensors, where=path)


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Copy `tensors` into `module`, whose state dict must have exactly these names and shapes.

    Raises:
        CheckpointError: names the missing and unexpected keys and the shapes that differ.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    shapes = [
        f"{name} {tuple(tensors[name].shape)}, the network's {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    problems = [
        f"{what}: {_some(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("other shape", shapes))
        if names
    ]
    if problems:
        raise CheckpointError(
            "A checkpoint is of another network.",
            got="; ".join(problems),
            allowed=f"the {len(wanted)} tensors of {type(module).__name__}",
            where=where,
        )
    module.load_state_dict(dict(tensors))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: it is missing, truncated, or no safetensors file.
    """
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise CheckpointError("A checkpoint is missing.", where=path) from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError("A checkpoint is truncated or no safetensors file.", got=error, where=path) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError("A checkpoint is missing.", where=path) from None
    except (UnpicklingError, RuntimeError, EOFError, BadZipFile, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            "A checkpoint is truncated, no PyTorch file, or holds more than tensors (not read: it could run code).",
            got=str(error).split("\n")[0],
            where=path,
        ) from error
    if isinstance(content, dict):
        for key in CONTAINERS:
            if isinstance(content.get(key), dict):
                content = content[key]
                break
    if not isinstance(content, dict) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            "A checkpoint holds no state dict.",
            got=_some([str(key) for key in content]) if isinstance(content, dict) else type(content).__name__,
            allowed=f"tensors by name, at the top or under one of {', '.join(CONTAINERS)}",
            where=path,
        )
    return content


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + rest
