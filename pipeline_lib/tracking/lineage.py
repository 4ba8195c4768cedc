"""What a run was made from and on: commit, data digests, hardware, versions."""

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

UNKNOWN = "unknown"
# What a rebuild itself writes; a change there does not make the checkout dirty.
WRITTEN_BY_REBUILDS = ("dvc.lock", "data")
MAX_HASHED_BYTES = 256 * 2**20  # half a second; a record is no reason to read terabytes once more
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a lock of 33 stages: 10 ms, not 90
VERSIONED_PACKAGES = ("torch", "numpy", "mlflow", "dvc", "pyarrow", "opencv-python-headless")


@dataclass(frozen=True)
class DataDigest:
    """DVC's md5 of one file or folder (a folder's ends in `.dir`); `source` is dvc.lock, or content if computed.

    Where dvc.lock does not know an input of more than MAX_HASHED_BYTES, `source` is size, and `digest` says only that.
    """

    name: str
    path: Path
    digest: str
    source: str


def git_state(folder: Path = Path()) -> tuple[str, str]:
    """(commit, "clean" or "dirty") of the checkout around `folder`; "unknown" outside one or before a first commit."""
    commit = _run_quietly(["git", "-C", str(folder), "rev-parse", "--verify", "HEAD"])
    if commit is None:
        return UNKNOWN, UNKNOWN
    others = [f":(exclude){name}" for name in WRITTEN_BY_REBUILDS]
    status = ["git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain", "--", ".", *others]
    changes = _run_quietly(status)
    if changes is None:
        return commit.strip(), UNKNOWN
    return commit.strip(), "dirty" if changes.strip() else "clean"


def rebuild_id(commit: str, params_text: bytes) -> str:
    """First 12 hex digits of SHA-256(commit + content of params.yaml): the same for all stages of one rebuild."""
    return hashlib.sha256(commit.encode() + params_text).hexdigest()[:12]


def hardware(notes: Path | None = None) -> dict[str, str]:
    """CPU model, usable cores, memory and GPUs of this machine, as text.

    Args:
        notes: folder in which the GPUs are noted until the next boot: asking the driver takes up to seconds.
    """
    return {
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "gpu": _gpus(notes),
    }


def versions() -> dict[str, str]:
    """Python's and the main packages' versions; "not installed" where one is absent. Imports none of them."""
    found = {"python": platform.python_version()}
    for package in VERSIONED_PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def data_digests(inputs: Mapping[str, Path], lock: Path = Path("dvc.lock")) -> list[DataDigest]:
    """DVC's md5 of each input, without reading it where dvc.lock knows it.

    An input that is the parent folder of several tracked files or folders (data/align) gives one digest for each of
    them. A digest of dvc.lock counts only if its number of bytes is what lies on the disk: a stage started by hand may
    read newer files than dvc.lock describes. Otherwise it is computed from the content exactly as DVC does. An input
    that does not exist gives none (the stage itself says what is missing).
    """
    tracked = _tracked(lock)
    found = []
    for name, path in inputs.items():
        inside = [known for known in tracked if known == str(path) or known.startswith(f"{path}/")]
        for known in inside or [str(path)]:
            where = Path(known)
            if where.exists():
                label = name if where == path else f"{name}/{where.relative_to(path)}"
                found.append(_digest_of(label, where, tracked.get(known)))
    return found


def locked_stages(lock: Path) -> set[str]:
    """The stages that dvc.lock has; none where there is no rebuild yet, or a parallel stage is writing it."""
    return set(_stages(lock))


def content_digest(path: Path) -> str:
    """DVC's md5 of a file (of its bytes) or folder (of the JSON list of its files' md5s by path; ends in `.dir`)."""
    if path.is_file():
        return _md5_file(path)
    entries = [{"md5": _md5_file(file), "relpath": file.relative_to(path).as_posix()} for file in _files_below(path)]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _digest_of(name: str, path: Path, entry: dict[str, Any] | None) -> DataDigest:
    size = sum(file.stat().st_size for file in _files_below(path))
    if entry is not None and entry.get("size") == size:
        return DataDigest(name, path, str(entry["md5"]), "dvc.lock")
    if size > MAX_HASHED_BYTES:
        return DataDigest(name, path, f"{size} bytes", "size")
    return DataDigest(name, path, content_digest(path), "content")


def _tracked(lock: Path) -> dict[str, dict[str, Any]]:
    """path -> entry of dvc.lock: every stage's outs, and deps where no stage writes them; empty: compute instead."""
    stages = _stages(lock)
    kinds = ("deps", "outs")  # outs last: they win
    return {
        entry["path"]: entry
        for kind in kinds
        for stage in stages.values()
        for entry in stage.get(kind, [])
        if "md5" in entry
    }


def _stages(lock: Path) -> dict[str, Any]:
    try:
        return dict((yaml.load(lock.read_text(), _SafeLoader) or {}).get("stages", {}))
    except (FileNotFoundError, yaml.YAMLError):  # no rebuild yet, or a parallel stage is writing it
        return {}


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path, followlinks=True):
        yield from (Path(folder, name) for name in names)


def _md5_file(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _gpus(notes: Path | None) -> str:
    if shutil.which("nvidia-smi") is None:
        return "none"
    note = notes / f"gpus-{platform.node()}-{psutil.boot_time():.0f}" if notes else None
    if note and note.exists():
        return note.read_text()
    listed = _run_quietly(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"])
    gpus = "; ".join(listed.strip().splitlines()) if listed and listed.strip() else "none"
    if note and os.access(note.parent, os.W_OK):
        note.write_text(gpus)
    return gpus


def _run_quietly(command: list[str]) -> str | None:
    """A command's output, or None where it is not installed or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
