"""The networks of a training stage as one MLflow model that embeds tensors: spooled by the stage, logged by who sends it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_lib.tracking.logged_model import CACHES, OpenRun, installed_package, log_pyfunc, pinned
from pipeline_lib.tracking.stage_run import StageRun
from pipeline_lib.tracking.store import import_mlflow

if TYPE_CHECKING:
    from pipeline_lib.networks.backbones.shared.spec import NetworkSpec

REQUIREMENTS = ("mlflow", "numpy", "pydantic", "torch", "safetensors")  # what the model's code imports, and no more
MODEL_CODE = Path(__file__).with_name("network_model.py")
NETWORKS, CODE = "networks", "code"  # in the record's folder
TRAINING_ONLY = ("classes.*",)  # class weights: no embedding needs them, and they name the training people


def log_networks(run: StageRun, networks: Mapping[Path, "NetworkSpec"], step: int) -> None:
    """Spool the networks in these folders as one model of the run; once it is sent, `runs:/<run id>/<its name>` loads it.

    It has the name of its only network, or else of what its stage trains (p56 of train_region@p56).

    The files and the code that reads them are copied as they are now: either may have changed when they are sent.
    One model for all of a stage, however many: each carries a copy of the code (0.8 MB), and MLflow takes 0.5 s for one.
    28 regions of the demo as one model: 0.6 s and 17 MB; as 28 models: 16 s and 38 MB (one core of 2.1 GHz).

    Args:
        run: the training stage's.
        networks: folders with network.safetensors and network.json; a folder's name is the network's.
        step: how many steps were trained; the run's figures of that step become the model's.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    package = installed_package()
    copied = [run.journal.copy(folder, f"{NETWORKS}/{folder.name}", ignore=TRAINING_ONLY) for folder in networks]
    copied.append(run.journal.copy(package, f"{CODE}/{package.name}", ignore=(CACHES,)))
    if not all(copied):
        return
    sizes = {path.name: [spec.input_px, spec.embedding_dim] for path, spec in networks.items()}
    name = next(iter(sizes)) if len(sizes) == 1 else run.tags["stage"].rpartition("@")[2]
    spooled = {"name": name, "sizes": sizes, "step": step, "requirements": pinned(REQUIREMENTS)}
    run.journal.write("networks", spooled)


def log_spooled_networks(run: OpenRun, experiment_id: str, files: Path, spooled: Mapping[str, Any]) -> None:
    """Log what log_networks spooled, unless it was logged already; what a killed sender left half-done is deleted.

    Args:
        run: in MLflow.
        experiment_id: the run's.
        files: folder of the record.
        spooled: log_networks' line.
    """
    for model in run.client.search_logged_models([experiment_id], f"source_run_id = '{run.run_id}'"):
        if model.status.value == "READY":
            return
        run.client.delete_logged_model(model.model_id)
    package = files / CODE / installed_package().name
    log_pyfunc(
        run,
        spooled["name"],
        package / "tracking" / MODEL_CODE.name,
        artifacts={name: files / NETWORKS / name for name in spooled["sizes"]},
        signature=signature(spooled["sizes"]),
        requirements=spooled["requirements"],
        step=spooled["step"],
        package=package,
    )


def signature(sizes: Mapping[str, tuple[int, int]]) -> Any:
    """float32 (-1, 3, S, S) to float32 (-1, D), and the parameters `network` (default: the first) and `normalise` (false).

    Args:
        sizes: (S, D) of the networks by name; where they differ in one, that size is -1, any.
    """
    import_mlflow()
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    side, dim = _common(side for side, _ in sizes.values()), _common(dim for _, dim in sizes.values())
    float32 = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, 3, side, side))]),
        outputs=Schema([TensorSpec(float32, (-1, dim))]),
        params=ParamSchema(
            [ParamSpec("network", DataType.string, next(iter(sizes))), ParamSpec("normalise", DataType.boolean, False)]
        ),
    )


def _common(sizes: Iterable[int]) -> int:
    distinct = set(sizes)
    return distinct.pop() if len(distinct) == 1 else -1
