"""Networks on disk: network.safetensors and network.json, and the import of other people's weights."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any
from zipfile import BadZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline_lib.core.code import modules_in, source_digest
from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.files import atomic_file, read_json, sha256_file, write_json
from pipeline_lib.core.kinds import load_kind
from pipeline_lib.data.patches import cut, grid
from pipeline_lib.networks.backbones.shared.build import BACKBONES, OVER, build_network, build_over, spec_from_json
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec

WEIGHTS, DESCRIPTION = "network.safetensors", "network.json"
FORMAT = 2
CONTAINERS = ("net_state_dict", "state_dict", "model")  # keys under which training scripts file a state dict
MAX_NAMED = 8
log = logging.getLogger("face_verifier")


def save_network(folder: Path, network: FaceNetwork) -> None:
    """Write `network`, and the frozen ones it stands on, as network.safetensors and network.json below `folder`.

    network.json is the format, the spec, those of the frozen networks by name (of a network over others only), `taught_by`
    (of a student only), and `code`, the digest of the source that computes it: whatever reads the folder reruns when the
    code changes, even if the weights do not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / WEIGHTS) as partial:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
    frozen = {name: one.spec.to_json() for name, one in network.frozen_networks().items()}
    description = {"format": FORMAT, "spec": network.spec.to_json(), "code": code_digest(network)}
    taught = {"taught_by": network.taught_by} if network.taught_by else {}
    write_json(folder / DESCRIPTION, description | ({"frozen": frozen} if frozen else {}) | taught)


def load_network(folder: Path) -> FaceNetwork:
    """Read what save_network wrote; the network is in eval mode and on the CPU.

    Raises:
        CheckpointError: a file is missing or truncated, of another format, or its tensors are not the network's;
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
        raise CheckpointError(
            "A network's description has another format; rerun its training stage.", got=got, allowed=FORMAT, where=path
        )
    network = _described(description, path)
    network.taught_by = description.get("taught_by")
    load_tensors(network, read_safetensors(folder / WEIGHTS), where=folder / WEIGHTS)
    return network.eval()


def weights_digest(folder: Path) -> str:
    """Hex SHA-256 of a network's weights, those of the frozen ones it stands on included: its state, whatever its name.

    Raises:
        CheckpointError: there is no such network.
    """
    try:
        return sha256_file(folder / WEIGHTS)
    except OSError as error:
        raise CheckpointError("A checkpoint is missing.", got=error.strerror, where=folder / WEIGHTS) from error


def code_digest(network: FaceNetwork) -> str:
    """The digest of the source files that compute `network` (network_modules)."""
    return source_digest(network_modules(network))


def network_modules(network: FaceNetwork) -> Iterator[ModuleType]:
    """A network's kind's module and shared/, those of the networks it stands on, and the cutting of an RRFNet's patches."""
    for spec in (network.spec, *(one.spec for one in network.frozen_networks().values())):
        yield load_kind(spec.PACKAGE, spec.arch, where="arch")
        for package in {BACKBONES, spec.PACKAGE}:
            yield from modules_in(f"{package}.shared")
        if spec.patches is not None:
            yield from (cut, grid)


def _described(description: dict[str, Any], where: Path) -> FaceNetwork:
    fields = description.get("spec")
    if "frozen" not in description:
        return build_network(spec_from_json(fields, where))
    specs = {name: spec_from_json(one, where) for name, one in description["frozen"].items()}
    frozen = {name: build_network(spec) for name, spec in specs.items()}
    return build_over(spec_from_json(fields, where, OVER), frozen)


def initial_network(spec: NetworkSpec, seed: int, checkpoint: Path | None) -> FaceNetwork:
    """A network with drawn weights, or with those of a published checkpoint: a file's, or, of a kind that knows where a
    package has them (spec.published), that one's.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or of another network.
        ParamsError: the package is not installed.
    """
    network = build_network(spec, seed)
    if checkpoint is not None:
        import_weights(network, checkpoint)
        log.info("imported the weights of %s", checkpoint)
    elif getattr(spec, "published", False):
        load_tensors(network, load_kind(BACKBONES, spec.arch, where="arch").published_weights(), where=spec.arch)
        log.info("%s begins with its published weights", spec.arch)
    return network


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
