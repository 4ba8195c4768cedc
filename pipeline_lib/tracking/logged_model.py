"""What every model that goes to MLflow shares: pinned requirements, a copy of the code, and the logging under a run."""

import importlib.metadata
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pipeline_lib
from pipeline_lib.tracking.store import import_mlflow

CACHES = "__pycache__"  # compiled files would make the model differ from run to run


class OpenRun(Protocol):
    """A run in MLflow: a stage's own, or a record that is being sent."""

    @property
    def uri(self) -> str:
        """Of the store."""

    @property
    def client(self) -> Any:
        """An MlflowClient of it."""

    @property
    def run_id(self) -> str:
        """Of the run."""


def installed_package() -> Path:
    """The folder of pipeline_lib."""
    return Path(next(iter(pipeline_lib.__path__)))


def pinned(packages: Iterable[str]) -> list[str]:
    """`name==version` of each as installed here; a local part (torch 2.13.0+cpu) is dropped, no index has it."""
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in packages]


def log_pyfunc(
    run: OpenRun,
    name: str,
    code_file: Path,
    *,
    artifacts: Mapping[str, Path],
    signature: Any,
    requirements: list[str],
    example: Any = None,
    step: int = 0,
    package: Path | None = None,
) -> str:
    """Log a pyfunc model from code (no pickle) under `run`, which stays open, and return the model's URI.

    Args:
        run: what the model belongs to.
        name: of the logged model: `runs:/<run id>/<name>` loads it.
        code_file: it defines the model.
        artifacts: files and folders that the model reads, by name.
        signature: an mlflow.models.ModelSignature.
        requirements: stated, so that MLflow need not guess them by running the model.
        example: the input example. MLflow loads the model and runs it once on one; without an example it does not.
        step: the run's figures of this step become the model's.
        package: the copy of pipeline_lib that goes with it; None for the one that runs.
    """
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(run.uri)
    client, run_id = run.client, run.run_id
    # mlflow.pyfunc.log_model takes experiment and run from start_run, at whose end the stage's run would end too
    mlflow.set_experiment(experiment_id=client.get_run(run_id).info.experiment_id)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
        logged = mlflow.models.Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            name=name,
            run_id=run_id,
            step=step,
            python_model=str(code_file),
            artifacts={key: str(path) for key, path in artifacts.items()},
            signature=signature,
            input_example=example,
            pip_requirements=requirements,
            code_paths=[str(_without_caches(package or installed_package(), Path(scratch)))],
        )
    return str(logged.model_uri)


def _without_caches(package: Path, scratch: Path) -> Path:
    return Path(shutil.copytree(package, scratch / package.name, ignore=shutil.ignore_patterns(CACHES)))
