"""Scorers on disk: what a registered model keeps of one."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.files import atomic_file, read_json, write_json
from pipeline_lib.core.kinds import load_kind
from pipeline_lib.matching.scores.shared.columns import KINDS
from pipeline_lib.matching.scores.shared.scorer import Scorer

VALUES, ARRAYS = "scorer.json", "scorer.safetensors"


def save_scorer(folder: Path, scorer: Scorer) -> None:
    """Write a scorer's state below `folder`: scorer.json (its kind and values) and scorer.safetensors.

    Raises:
        DataError: the scorer cannot score photographs (Scorer.state).
    """
    state = scorer.state()
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    values = {name: value for name, value in state.items() if name not in arrays}
    kind = type(scorer).__module__.rpartition(".")[2]
    with atomic_file(folder / ARRAYS) as partial:
        save_file({name: np.array(array, order="C") for name, array in arrays.items()}, partial)
    write_json(folder / VALUES, {"kind": kind, "values": values})


def load_scorer(folder: Path) -> Scorer:
    """Read what save_scorer wrote; only its kind's module is imported.

    Raises:
        CheckpointError: a file is missing or damaged, or of another state than the kind's.
        ParamsError: there is no such kind.
    """
    try:
        raw = read_json(folder / VALUES)
        module = load_kind(KINDS, raw["kind"], folder / VALUES)
        scorer: Scorer = module.restore({**raw["values"], **load_file(folder / ARRAYS)})
    except (DataError, SafetensorError, OSError, KeyError, TypeError) as error:
        raise CheckpointError("A saved score is missing or damaged.", got=error, where=folder) from error
    return scorer
