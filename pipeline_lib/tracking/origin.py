"""The first line of a run's record: the stage, its process, its params, and what it was made from and on."""

import hashlib
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.params.load import PARAMS_FILE
from pipeline_lib.params.machine import load_machine
from pipeline_lib.tracking import lineage
from pipeline_lib.tracking.digests import data_digests
from pipeline_lib.tracking.spool import process_started

log = logging.getLogger("face_verifier")

MAX_VALUE_CHARACTERS = 500
EXPERIMENT_NAME = "DVC_EXP_NAME"  # `dvc exp run` sets it to the name that `dvc exp show` lists
LOCK_FILE = Path("dvc.lock")
DIGEST_FROM = "digest_from"  # of a dataset: digests.DataDigest.source
PROCESS_TAGS = ("stage", "host", "pid", "process_started")  # of a stage's run, not of its rebuild's
NOTE = "mlflow.note.content"  # what MLflow's pages show as a description, in Markdown


def origin(
    stage: str, params: Mapping[str, object], inputs: Mapping[str, Path], live: bool, notes: Path
) -> dict[str, Any]:
    """JSON values: stage, live, begun_ms, experiment, tags, params (flat), params_text (of the rebuild), datasets.

    Args:
        stage, params, inputs, live: as stage_run.stage_run.
        notes: folder in which lineage.hardware and digests.data_digests may keep what they found.

    Raises:
        ParamsError: machine.yaml, which names the experiment, is wrong.
    """
    begun_ms = int(time.time() * 1000)
    commit, checkout = lineage.git_state()
    if commit == lineage.UNKNOWN:
        log.warning("No git commit here: runs are recorded with commit %r.", lineage.UNKNOWN)
    params_text = PARAMS_FILE.read_bytes() if PARAMS_FILE.exists() else b""
    tags = {
        "rebuild": lineage.rebuild_id(commit, params_text),
        "git_commit": commit,
        "git_checkout": checkout,
        "mlflow.source.git.commit": commit,
        "dvc_lock_sha256": _sha256_if_there(LOCK_FILE),
        **({"dvc_experiment": os.environ[EXPERIMENT_NAME]} if EXPERIMENT_NAME in os.environ else {}),
        **{f"hardware.{key}": value for key, value in lineage.hardware(notes).items()},
        **{f"version.{key}": value for key, value in lineage.versions().items()},
    }
    process = (stage, platform.node(), str(os.getpid()), process_started(os.getpid()))
    return {
        "stage": stage,
        "live": live,
        "begun_ms": begun_ms,
        "experiment": load_machine().tracking.experiment,
        "tags": tags | dict(zip(PROCESS_TAGS, process, strict=True)) | _note(),
        "params": flatten(params),
        "params_text": params_text.decode(errors="replace"),
        "datasets": _datasets(inputs, notes),
    }


def _note() -> dict[str, str]:
    """What the stage's script says of itself."""
    says = sys.modules["__main__"].__doc__
    return {NOTE: says.strip()} if says else {}


def _datasets(inputs: Mapping[str, Path], notes: Path) -> list[dict[str, str]]:
    try:
        found = data_digests(inputs, LOCK_FILE, notes)
    except OSError as error:  # if the stage cannot read them either, it says so
        log.warning("The digests of the inputs are not recorded: %s", error)
        return []
    return [
        {"name": item.name, "digest": item.digest, "path": str(item.path), DIGEST_FROM: item.source} for item in found
    ]


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted keys; lists as JSON; values over 500 characters cut, with their length said."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = shorten(json.dumps(value) if isinstance(value, list | tuple) else str(value))
    return flat


def shorten(text: str) -> str:
    """`text`, or its first 500 characters and how many there were."""
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    return f"{text[:MAX_VALUE_CHARACTERS]}... ({len(text)} characters)"


def _sha256_if_there(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else lineage.UNKNOWN
