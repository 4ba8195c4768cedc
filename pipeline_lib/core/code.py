"""The digest of source files: what was computed by other code is not taken for this code's."""

import hashlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

from pipeline_lib.core.files import sha256_file


def source_digest(modules: Iterable[ModuleType]) -> str:
    """SHA-256 of the source files of `modules`, each counted once, in any order; hex.

    The modules' names count, where the checkout lies does not.
    """
    files = {module.__name__: Path(str(module.__file__)) for module in modules}
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name} {sha256_file(file)}\n".encode())
    return digest.hexdigest()


def modules_in(package: str) -> Iterator[ModuleType]:
    """The modules of a folder such as "networks.heads.shared", imported; folders in it are not looked into."""
    name = f"pipeline_lib.{package}"
    for found in iter_modules(import_module(name).__path__):
        if not found.ispkg:
            yield import_module(f"{name}.{found.name}")
