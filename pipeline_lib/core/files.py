"""Files that are either whole or absent."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError

ESCAPED = "backslashreplace"  # a photograph's name may be no UTF-8, and a terminal may be no UTF-8 either


@contextmanager
def atomic_file(path: Path, make_folder: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes `path`'s name only if the block ends without an error."""
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """atomic_file for a path that a person typed, who may have mistyped it: no folder is made.

    Raises:
        DataError: nothing can be written there; says why.
    """
    try:
        if path.exists() and not path.is_file():  # a rename would put a file in the place of /dev/null, too
            raise DataError("A file cannot be written.", got="a folder, device or pipe of this name", where=path)
        with atomic_file(path, make_folder=False) as partial:
            yield partial
    except OSError as error:
        raise DataError("A file cannot be written.", got=error.strerror or error, where=path) from error


def clear_output(path: Path) -> None:
    """Take away what an earlier run left at a path that a person typed, so that a failure does not leave it as its own result.

    Raises:
        DataError: nothing can be written there, found out before the work is done.
    """
    with output_file(path) as partial:
        partial.touch()
    path.unlink()


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it replaces `path` only if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented JSON; NaN and infinity are refused (ValueError) since JSON has neither."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with atomic_file(path) as partial:
        partial.write_text(text)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file with a header."""
    with atomic_file(path) as partial, partial.open("w", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])


def read_json(path: Path) -> Any:
    """Parse a JSON file; raises DataError if it is missing, cannot be read or is not JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError("A JSON file is missing.", where=path) from None
    except OSError as error:
        raise DataError("A JSON file cannot be read.", got=error.strerror or error, where=path) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError("A file is not JSON.", got=error, where=path) from error


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
