"""Networks for other programs: a state dict in the public layout, or ONNX."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.networks.backbones.shared.network import FaceNetwork

ONNX_OPSET = 18  # the lowest that torch 2.13's exporter writes without conversion


def export_network(network: FaceNetwork, path: Path) -> None:
    """Write `network` as the suffix of `path` says; the folder is made, an existing file replaced.

    - .pth: torch.save of the state dict, a plain dict that torch.load(weights_only=True) reads; the names of the public
      code (an RRFNet's begin with `backbone.`).
    - .safetensors: the same tensors.
    - .onnx: input `image`, float32 (N,3,S,S), RGB in [-1,1], S = spec.input_px, any N; output `embedding`, float32
      (N,D), not normalised; weights inside. An RRFNet cuts and averages its patches inside.

    checkpoints.import_weights reads the first two exactly.

    Args:
        network: in eval mode, as load_network returns it, and on the CPU.

    Raises:
        CheckpointError: another suffix, or the file cannot be written.
    """
    if path.suffix not in _WRITERS:
        raise CheckpointError(
            "A network is not exported in such a file.", got=path.name, allowed=", ".join(_WRITERS), where=path
        )
    assert not network.training, "an exported network computes as in evaluation"
    try:
        with atomic_file(path) as partial:
            partial.touch()  # where this is refused, torch and safetensors would raise errors of their own
            _WRITERS[path.suffix](network, partial)
    except OSError as error:
        raise CheckpointError("A network cannot be written there.", got=error, where=path) from error


def _write_torch(network: FaceNetwork, path: Path) -> None:
    torch.save({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def _write_safetensors(network: FaceNetwork, path: Path) -> None:
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


def _write_onnx(network: FaceNetwork, path: Path) -> None:
    images = torch.zeros(2, 3, network.spec.input_px, network.spec.input_px)  # the exporter takes 1 for a constant
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.export copies its own deprecated types
        program = torch.onnx.export(
            network,
            (images,),
            input_names=["image"],
            output_names=["embedding"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=ONNX_OPSET,
            verbose=False,
        )
    assert program is not None, "only the older exporter returns nothing"
    program.save(path, external_data=False)


_WRITERS: dict[str, Callable[[FaceNetwork, Path], None]] = {
    ".pth": _write_torch,
    ".onnx": _write_onnx,
    ".safetensors": _write_safetensors,
}
