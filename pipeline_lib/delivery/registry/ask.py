"""Ask a registered model about two photographs, in an interpreter of its own (ask_model)."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline_lib.delivery.registry import ask_model
from pipeline_lib.tracking.reach import find_store
from pipeline_lib.tracking.store import RegistryError, mlflow_environment, shown_uri

CHAMPION = "models:/face-verifier@champion"
ALLOWED = (
    "models:/NAME@ALIAS or models:/NAME/VERSION of the store; where there is no champion yet, "
    "@challenger is the last one, and `face-verifier promote VERSION` makes one the champion"
)


def ask(model: str, uri: str, a: Path, b: Path, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The model's answer, explained; see ask_model and verifier.pyfunc_model. Pictures are base64, or None.

    Args:
        model: `models:/NAME@ALIAS` or another URI that MLflow loads.
        uri: the store's.
        a, b: the photographs' files.
        params: `method` and `check`; a model that was registered before these were ignores them.

    Raises:
        RegistryError: the store does not answer, which is found out within seconds; the model cannot be loaded, or failed.
    """
    find_store(uri)
    request = {"model": model, "tracking_uri": uri, "image_a": str(a), "image_b": str(b), "params": dict(params or {})}
    with tempfile.TemporaryDirectory() as scratch:
        request_file, answer_file = Path(scratch, "request.json"), Path(scratch, "answer.json")
        request_file.write_text(json.dumps(request))
        # -P: the script's folder holds modules with everyday names and must not be searched for imports
        command = [sys.executable, "-P", ask_model.__file__, str(request_file), str(answer_file)]
        done = subprocess.run(command, env=mlflow_environment(), stderr=subprocess.PIPE, text=True, check=False)
        if not answer_file.exists():
            raise RegistryError("The model failed.", got=done.stderr.strip()[-2000:], where=model)
        answer: dict[str, Any] = json.loads(answer_file.read_text())
    if "failure" in answer:
        raise RegistryError("The model cannot be loaded.", got=answer["failure"], allowed=ALLOWED, where=shown_uri(uri))
    return answer
