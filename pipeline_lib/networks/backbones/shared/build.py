"""From params to a spec, and from a spec to a network."""

from collections.abc import Callable, Mapping

import torch

from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.kinds import checked, load_kind
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.networks import Network

BACKBONES, OVER = "networks.backbones", "networks.over"
MODELS = {BACKBONES: "Spec", OVER: "Settings"}  # what the modules of either folder call the class of their keys


def network_spec(section: Network, where: object, input_px: int = FACE_PX) -> NetworkSpec:
    """The spec of an entry of `networks`, or of regions.network.

    Args:
        section: the entry.
        where: file and key of it, for messages.
        input_px: 112, or the patch side of a region network.

    Raises:
        ParamsError: there is no such arch, or a key of the entry is unknown, missing or not possible; names it.
    """
    if "input_px" in section.own:
        raise ParamsError("A network's input_px is the size of the faces, or of its patches.", where=where)
    values = {**section.own, "arch": section.arch, "patches": section.patches, "input_px": input_px}
    spec: NetworkSpec = checked(load_kind(BACKBONES, section.arch, where).Spec, values, where)
    return spec


def spec_from_json(fields: object, where: object, package: str = BACKBONES) -> NetworkSpec:
    """The inverse of NetworkSpec.to_json, for a kind of `package`.

    Raises:
        CheckpointError: there is no such kind here, a key is missing or unknown, or a value not possible; names where it
            was read.
    """
    if not isinstance(fields, dict):
        raise CheckpointError("A network's description is not possible.", got=fields, allowed="keys", where=where)
    try:
        module = load_kind(package, str(fields.get("arch")), where)
        spec: NetworkSpec = checked(getattr(module, MODELS[package]), fields, where)
    except ParamsError as error:
        raise CheckpointError("A network's description is not possible.", got=error, where=where) from error
    if set(fields) != set(type(spec).model_fields):
        raise CheckpointError(
            "A network's description has other fields than this version reads.",
            got=sorted(fields),
            allowed=sorted(type(spec).model_fields),
            where=where,
        )
    return spec


def build_network(spec: NetworkSpec, seed: int = 0) -> FaceNetwork:
    """A network with freshly drawn weights, in training mode and channels_last memory.

    The same spec and seed give the same weights; PyTorch's global generator is left as it was.
    """
    build = load_kind(BACKBONES, spec.arch, where="arch").build
    if spec.patches is None:
        return _drawn(lambda: build(spec), seed)
    return _drawn(lambda: RRFNet(spec, build(spec.of_patches())), seed)


def build_over(settings: NetworkSpec, frozen: Mapping[str, FaceNetwork], seed: int = 0) -> FaceNetwork:
    """A network over `frozen` ones (a kind of networks/over, with its Settings); otherwise as build_network."""
    build = load_kind(OVER, settings.arch, where="kind").build
    return _drawn(lambda: build(settings, frozen), seed)


def is_stackable(spec: NetworkSpec) -> bool:
    """Whether several networks of this spec can be computed as one (StackedNetworks)."""
    if spec.PACKAGE != BACKBONES or spec.patches is not None:
        return False
    return bool(load_kind(BACKBONES, spec.arch, where="arch").STACKABLE)


def describe(spec: NetworkSpec) -> str:
    """What a network is, in a line for tables: its kind in words, the kind's own keys, and the patches it sees."""
    own = {key: value for key, value in spec if key not in NetworkSpec.model_fields and value is not None}
    keys = ", ".join(f"{key} {_text(value)}" for key, value in own.items())
    words = str(load_kind(spec.PACKAGE, spec.arch, where="arch").DESCRIPTION) + (f" ({keys})" if keys else "")
    if spec.patches is None:
        return words
    share, mode = spec.patches.mask_share, spec.patches.mask_mode
    masked = f", {100 * share:g} % masked ({mode})" if share else ""
    return f"RRFNet-{spec.patches.side_px}, {spec.patches.layout}{masked}, of {words}"


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _drawn(build: Callable[[], FaceNetwork], seed: int) -> FaceNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
