"""DVC's digests of a run's inputs: of what lies there, whatever dvc.lock says of it."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from pipeline_lib.core.files import atomic_file

MAX_READ_BYTES = 256 * 2**20  # half a second; a record is no reason to read terabytes once more
NOTES_FILE = "digests.json"
SETTLED_NS = 10**9  # a file that was written later may be written again within the same tick of the file system's clock
CONTENT, LOCK, SIZE = "content", "dvc.lock, same size", "size"
DVCIGNORE, ALWAYS_IGNORED = Path(".dvcignore"), (".git", ".hg", ".dvc")
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a lock of 33 stages: 10 ms, not 90

Files = list[tuple[Path, os.stat_result]]


@dataclass(frozen=True)
class DataDigest:
    """DVC's md5 of one file or folder (a folder's ends in `.dir`), and where it is from.

    `source`: "content", every byte was read, now or by an earlier run since which no file has another name, size, time or
    inode. More than MAX_READ_BYTES are not read: "dvc.lock, same size" is dvc.lock's digest, of which only the number of
    bytes was compared; "size", that number, where dvc.lock does not know the input or knows another one.
    """

    name: str
    path: Path
    digest: str
    source: str


def data_digests(
    inputs: Mapping[str, Path], lock: Path = Path("dvc.lock"), notes: Path | None = None
) -> list[DataDigest]:
    """DVC's md5 of each input.

    An input that is the parent folder of several tracked files or folders (data/align) gives one digest for each of
    them. An input that does not exist gives none (the stage itself says what is missing).

    Args:
        inputs: file or folder by name.
        lock: dvc.lock; it says what is tracked.
        notes: folder in which digests are kept for the next run, so that an input is read once, and not by every stage.
    """
    tracked, kept = _tracked(lock), _read_notes(notes)
    noted, found = dict(kept), []
    for name, path in inputs.items():
        inside = [known for known in tracked if known == str(path) or known.startswith(f"{path}/")]
        for known in inside or [str(path)]:
            where = Path(known)
            if where.exists():
                label = name if where == path else f"{name}/{where.relative_to(path)}"
                digest, source = _digest_of(where, tracked.get(known), noted)
                found.append(DataDigest(label, where, digest, source))
    if notes is not None and noted != kept:
        _write_notes(notes, noted)
    return found


def locked_stages(lock: Path) -> dict[str, Any]:
    """The stages of dvc.lock by name; none where there is no rebuild yet, or a parallel stage is writing it."""
    try:
        return dict((yaml.load(lock.read_text(), _SafeLoader) or {}).get("stages", {}))
    except (FileNotFoundError, yaml.YAMLError):
        return {}


def content_digest(path: Path) -> str:
    """DVC's md5 of a file (of its bytes) or folder (of the JSON list of its files' md5s by path; ends in `.dir`).

    Of a folder of the repository, in which we are, without what .dvcignore names: lines of one name or pattern, as ours are.
    """
    if path.is_file():
        return _md5_file(path)
    entries = [{"md5": _md5_file(file), "relpath": file.relative_to(path).as_posix()} for file in _files_below(path)]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _digest_of(path: Path, entry: dict[str, Any] | None, noted: dict[str, list[str]]) -> tuple[str, str]:
    files = [(file, file.stat()) for file in _files_below(path)]
    size = sum(stat.st_size for _, stat in files)
    if size > MAX_READ_BYTES:
        if entry is not None and entry.get("size") == size:
            return str(entry["md5"]), LOCK
        return f"{size} bytes", SIZE
    key, state = str(path.absolute()), _state(files)
    if key in noted and noted[key][0] == state:
        return noted[key][1], CONTENT
    digest = content_digest(path)
    noted.pop(key, None)
    if all(stat.st_mtime_ns < time.time_ns() - SETTLED_NS for _, stat in files):
        noted[key] = [state, digest]
    return digest, CONTENT


def _state(files: Files) -> str:
    lines = sorted(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}" for file, stat in files)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _read_notes(notes: Path | None) -> dict[str, list[str]]:
    try:
        return dict(json.loads((notes / NOTES_FILE).read_text())) if notes else {}
    except (OSError, ValueError):  # none yet, or not ours to read: everything is read once more
        return {}


def _write_notes(notes: Path, noted: Mapping[str, list[str]]) -> None:
    try:
        with atomic_file(notes / NOTES_FILE) as partial:
            partial.write_text(json.dumps({key: value for key, value in noted.items() if Path(key).exists()}))
    except OSError:  # a full disk, or a spool that cannot be written, which the run's journal says
        return


def _tracked(lock: Path) -> dict[str, dict[str, Any]]:
    """path -> entry of dvc.lock: every stage's outs, and deps where no stage writes them."""
    stages = locked_stages(lock)
    kinds = ("deps", "outs")  # outs last: they win
    return {
        entry["path"]: entry
        for kind in kinds
        for stage in stages.values()
        for entry in stage.get(kind, [])
        if "md5" in entry
    }


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    ignored = _ignored() if path.absolute().is_relative_to(Path.cwd()) else []
    for folder, folders, names in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not _matches(name, ignored)]
        yield from (Path(folder, name) for name in names if not _matches(name, ignored))


def _ignored() -> list[str]:
    lines = DVCIGNORE.read_text().splitlines() if DVCIGNORE.is_file() else []
    return [*ALWAYS_IGNORED, *(line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#"))]


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _md5_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
