"""The model's code, which MLflow runs when it loads `face-verifier` (models from code); nothing else imports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.verifier.answers import EXPLAINED, FIGURES, Comparison, as_row
from pipeline_lib.delivery.verifier.methods import AUTO
from pipeline_lib.delivery.verifier.verifier import Verifier


class FaceVerifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is not followed by mypy
    """pyfunc: a table with image_a and image_b to one with similarity, threshold, match, probability, error and warnings."""

    verifier: Verifier

    def load_context(self, context: Any) -> None:
        """Load the verifier from the model's one artifact, a folder."""
        (folder,) = context.artifacts.values()
        self.verifier = Verifier.load(Path(folder))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One row a pair; see Verifier.compare.

        model_input: a table with image_a and image_b, which MLflow makes of a dict, too. Where it makes one cell of a whole
        column, as it does of a dict's lists, the cell's list is the column.

        params: {"explain": bool} adds the columns of EXPLAINED; "method": str chooses the explanation (methods.chosen_method),
        "check": bool fills its reliability, "draw": bool its picture (png); "fmr" or "threshold": float decides there, not at the
        model's own threshold.

        Raises:
            DataError: the two columns are of two lengths.
        """
        asked = params or {}
        explain, method, check = bool(asked.get("explain")), str(asked.get("method", AUTO)), bool(asked.get("check"))
        a, b = (_column(model_input[name]) for name in ("image_a", "image_b"))
        if len(a) != len(b):
            raise DataError("Pairs need as many of one column as of the other.", got=f"{len(a)} and {len(b)}")
        pairs = list(zip(a, b, strict=True))
        draw, fmr, threshold = bool(asked.get("draw", True)), asked.get("fmr"), asked.get("threshold")
        answers = self.verifier.compare(pairs, explain, method, check, draw, fmr, threshold)
        index = model_input.index if len(model_input) == len(a) else None
        return as_table(answers, explain, index)


def _column(values: Any) -> list[Any]:
    cells = [values] if isinstance(values, str | bytes) else list(values)
    if len(cells) == 1 and (isinstance(cells[0], list) or (isinstance(cells[0], np.ndarray) and cells[0].ndim == 1)):
        return list(cells[0])
    return cells


def as_table(answers: list[Comparison], explain: bool, index: Any) -> pd.DataFrame:
    """The answers as a table of dtype object: what a row lacks is None in it, which JSON writes as null; a NaN is no JSON."""
    rows = [as_row(answer, explain) for answer in answers]
    names = (*FIGURES, *EXPLAINED) if explain else FIGURES
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], index=index, dtype=object) for name in names})


mlflow.models.set_model(FaceVerifier())
