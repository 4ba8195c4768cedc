"""What every model that goes to MLflow shares: pinned requirements, a copy of the code, and the logging under a run."""

import importlib.metadata
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pipeline_lib
from pipeline_lib.tracking.stage_run import StageRun
from pipeline_lib.tracking.store import import_mlflow, tracking_uri


def pinned(packages: Iterable[str]) -> list[str]:
    """`name==version` of each as installed here; a local part (torch 2.13.0+cpu) is dropped, no index has it."""
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in packages]


def log_pyfunc(
    run: StageRun,
    name: str,
    code_file: Path,
    *,
    artifacts: Mapping[str, Path],
    signature: Any,
    requirements: list[str],
    example: Any = None,
    step: int = 0,
) -> str:
    """Log a pyfunc model from code (no pickle) under `run`, which stays open, and return the model's URI.

    Args:
        run: the stage's.
        name: of the logged model: `runs:/<run id>/<name>` loads it.
        code_file: it defines the model. A copy of pipeline_lib goes with it.
        artifacts: files and folders that the model reads, by name.
        signature: an mlflow.models.ModelSignature.
        requirements: stated, so that MLflow need not guess them by running the model.
        example: the input example. MLflow loads the model and runs it once on one; without an example it does not.
        step: the run's figures of this step become the model's.
    """
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(tracking_uri())
    # mlflow.pyfunc.log_model takes experiment and run from start_run, at whose end the stage's run would end too
    mlflow.set_experiment(experiment_id=run.client.get_run(run.run_id).info.experiment_id)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*An input example was not provided", UserWarning)
        logged = mlflow.models.Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            name=name,
            run_id=run.run_id,
            step=step,
            python_model=str(code_file),
            artifacts={key: str(path) for key, path in artifacts.items()},
            signature=signature,
            input_example=example,
            pip_requirements=requirements,
            code_paths=[str(_code_without_caches(Path(scratch)))],
        )
    return str(logged.model_uri)


def _code_without_caches(scratch: Path) -> Path:
    """A copy of pipeline_lib without compiled files, which would make the model differ from run to run."""
    package = Path(next(iter(pipeline_lib.__path__)))
    return Path(shutil.copytree(package, scratch / package.name, ignore=shutil.ignore_patterns("__pycache__")))
