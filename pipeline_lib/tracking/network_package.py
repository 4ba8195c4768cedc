"""The networks of a training stage as one MLflow model that embeds tensors, logged under the stage's run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.tracking.logged_model import log_pyfunc, pinned
from pipeline_lib.tracking.stage_run import StageRun
from pipeline_lib.tracking.store import RegistryError, import_mlflow, shown_uri, tracking_uri

NAME = "network"
REQUIREMENTS = ("mlflow", "numpy", "torch", "safetensors")  # what the model's code imports, and no more


def signature(specs: Mapping[str, NetworkSpec]) -> Any:
    """float32 (-1, 3, S, S) to float32 (-1, D), and the parameters `network` (default: the first) and `normalise` (false).

    Args:
        specs: the networks' by name; where they differ in S or D, that size is -1, any.
    """
    import_mlflow()
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    side, dim = (
        _common(spec.input_px for spec in specs.values()),
        _common(spec.embedding_dim for spec in specs.values()),
    )
    float32 = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, 3, side, side))]),
        outputs=Schema([TensorSpec(float32, (-1, dim))]),
        params=ParamSchema(
            [ParamSpec("network", DataType.string, next(iter(specs))), ParamSpec("normalise", DataType.boolean, False)]
        ),
    )


def log_networks(run: StageRun, networks: Mapping[Path, NetworkSpec], step: int) -> str:
    """Log the networks in these folders as one model; `runs:/<run id>/network` loads it. Returns the model's URI.

    One model for all of a stage, however many: each carries a copy of the code (0.8 MB), and MLflow takes 0.5 s for one.
    28 regions of the demo as one model: 0.6 s and 17 MB; as 28 models: 16 s and 38 MB (one core of 2.1 GHz).

    Args:
        run: the training stage's.
        networks: folders with network.safetensors and network.json; a folder's name is the network's.
        step: how many steps were trained; the run's figures of that step become the model's.

    Raises:
        RegistryError: the store did not take it; says how to keep what was trained.
    """
    mlflow = import_mlflow()
    try:
        return log_pyfunc(
            run,
            NAME,
            Path(__file__).with_name("network_model.py"),
            artifacts={path.name: path for path in networks},
            signature=signature({path.name: spec for path, spec in networks.items()}),
            requirements=pinned(REQUIREMENTS),
            step=step,
        )
    except (mlflow.MlflowException, OSError) as error:
        raise RegistryError(
            "MLflow did not take the networks. Their files are complete: `dvc commit` with this stage's name keeps them.",
            got=error,
            where=shown_uri(tracking_uri()),
        ) from error


def _common(sizes: Iterable[int]) -> int:
    distinct = set(sizes)
    return distinct.pop() if len(distinct) == 1 else -1
