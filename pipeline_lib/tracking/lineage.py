"""What a run was made from and on: commit, hardware, versions; its data: digests.py."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

UNKNOWN = "unknown"
# What a rebuild itself writes; a change there does not make the checkout dirty.
WRITTEN_BY_REBUILDS = ("dvc.lock", "data")
VERSIONED_PACKAGES = ("torch", "numpy", "mlflow", "dvc", "pyarrow", "opencv-python-headless")


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
