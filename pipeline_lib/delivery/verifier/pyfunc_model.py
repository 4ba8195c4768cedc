"""The model's code, which MLflow runs when it loads `face-verifier` (models from code); nothing else imports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from pipeline_lib.delivery.verifier.answers import EXPLAINED, Comparison, explained_columns
from pipeline_lib.delivery.verifier.methods import AUTO
from pipeline_lib.delivery.verifier.verifier import Verifier


class FaceVerifier(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # mlflow is not followed by mypy
    """pyfunc: a table with image_a and image_b to one with similarity, threshold, match, probability and error."""

    verifier: Verifier

    def load_context(self, context: Any) -> None:
        """Load the verifier from the model's one artifact, a folder."""
        (folder,) = context.artifacts.values()
        self.verifier = Verifier.load(Path(folder))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One row a pair; see Verifier.compare.

        params: {"explain": bool} adds the columns score and is_cosine (what the similarity is), note (on the
        model, may be empty) and those of EXPLAINED; "method": str chooses the explanation (methods.chosen_method), "check": bool
        fills its reliability; "fmr" or "threshold": float decides there, not at the model's own threshold.
        """
        asked = params or {}
        explain, method, check = bool(asked.get("explain")), str(asked.get("method", AUTO)), bool(asked.get("check"))
        pairs = list(zip(model_input["image_a"], model_input["image_b"], strict=True))
        answers = self.verifier.compare(pairs, explain, method, check, asked.get("fmr"), asked.get("threshold"))
        table = as_table(answers, explain, model_input.index)
        if explain:
            table.insert(5, "score", self.verifier.settings.score)
            table.insert(6, "is_cosine", self.verifier.scorer.is_cosine)
            table.insert(7, "note", self.verifier.settings.note)
        return table


def as_table(answers: list[Comparison], explain: bool, index: Any) -> pd.DataFrame:
    """The answers as a table; where a row has an error, its figures are NaN and its match is None."""
    columns: dict[str, pd.Series[Any]] = {
        "similarity": pd.Series([answer.similarity for answer in answers], index=index, dtype="float64"),
        "threshold": pd.Series([answer.threshold for answer in answers], index=index, dtype="float64"),
        # dtype object keeps None; pandas would make NaN of it, which counts as true
        "match": pd.Series([answer.match for answer in answers], index=index, dtype=object),
        "probability": pd.Series([answer.probability for answer in answers], index=index, dtype="float64"),
        "error": pd.Series([answer.error for answer in answers], index=index, dtype=object),
    }
    if explain:
        rows = [explained_columns(answer) for answer in answers]
        columns |= {name: pd.Series([row[name] for row in rows], index=index, dtype=object) for name in EXPLAINED}
    return pd.DataFrame(columns)


mlflow.models.set_model(FaceVerifier())
