"""A script for an interpreter of its own: load a registered model, compare one pair, write the answer as JSON.

The command line runs it as a file, so that nothing of pipeline_lib is imported before MLflow puts the model's own copy
of the code first: a model answers with the code it was registered with, whatever version the command line has.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any


def main(request_file: str, answer_file: str) -> None:
    """Read {model, tracking_uri, image_a, image_b, params}; write the answer's row, or {"failure": why there is none}."""
    import mlflow
    import pandas as pd

    request = json.loads(Path(request_file).read_text())
    mlflow.set_tracking_uri(request["tracking_uri"])
    try:
        model = mlflow.pyfunc.load_model(request["model"])
    except (mlflow.MlflowException, OSError) as error:
        answer: dict[str, Any] = {"failure": str(error)}
    else:
        pair = pd.DataFrame({"image_a": [Path(request["image_a"])], "image_b": [Path(request["image_b"])]})
        row = model.predict(pair, params={"explain": True, **request["params"]}).iloc[0].to_dict()
        answer = {key: _as_json(value) for key, value in row.items()}
    Path(answer_file).write_text(json.dumps(answer, default=lambda value: value.item()))  # numpy's bool and float


def _as_json(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if isinstance(value, float) and value != value else value


if __name__ == "__main__":
    main(*sys.argv[1:])
