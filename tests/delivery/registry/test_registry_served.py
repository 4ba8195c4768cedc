"""The registered model behind MLflow's scoring server: every shape of request that the docs name, and JSON that is JSON."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tiny_verifier import ABOUT, register_tiny

from pipeline_lib.delivery.verifier.answers import EXPLAINED, FIGURES, PICTURES
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.tracking.store import import_mlflow

A, B = (base64.b64encode(data).decode() for data in example_photographs())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Any:
    """As `mlflow models serve -m models:/face-verifier@champion` loads it."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
        register_tiny(folder)
        mlflow = import_mlflow()
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        return mlflow.pyfunc.load_model("models:/face-verifier@champion")


@pytest.fixture(scope="module")
def server(model: Any) -> TestClient:
    from mlflow.pyfunc import scoring_server

    return TestClient(scoring_server.init(model), raise_server_exceptions=False)


def asked(server: TestClient, **request: Any) -> list[dict[str, Any]]:
    answer = server.post("/invocations", json=request)
    assert answer.status_code == 200, answer.text

    def no_constant(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    predictions: list[dict[str, Any]] = json.loads(answer.text, parse_constant=no_constant)["predictions"]
    return predictions


def test_rows_columns_and_both_alphabets_of_base64_are_one_request(server: TestClient) -> None:
    url_safe = A.translate(str.maketrans("+/", "-_")).rstrip("=")
    (records,) = asked(server, dataframe_records=[{"image_a": A, "image_b": B}])
    (split,) = asked(server, dataframe_split={"columns": ["image_a", "image_b"], "data": [[url_safe, B]]})
    columns = asked(server, inputs={"image_a": [A, "data:image/png;base64," + B], "image_b": [B, A]})
    (rows,) = asked(server, inputs=[{"image_a": A, "image_b": B}])
    assert tuple(records) == FIGURES
    assert records["error"] is None
    assert records == split == columns[0] == rows
    assert columns[1]["similarity"] == pytest.approx(records["similarity"], abs=1e-6)  # float32, the other way round


def test_what_has_no_answer_is_null(server: TestClient) -> None:
    """The bad row comes first, and last: null where there is no figure, in plain and in explained answers."""
    rows = [{"image_a": "no picture", "image_b": B}, {"image_a": A, "image_b": B}, {"image_a": None, "image_b": B}]
    for explain in (False, True):
        bad, good, empty = asked(server, dataframe_records=rows, params={"explain": explain})
        for one in (bad, empty):
            assert (one["similarity"], one["match"], one["probability"]) == (None, None, None)
            assert "image_a" in one["error"]
        assert isinstance(good["match"], bool)
    assert set(good) == {*FIGURES, *EXPLAINED}
    assert (good["about"]["version"], good["about"]["made"]) == ("1", ABOUT.made)
    assert good["rates"]["num_impostor"] == 10
    assert len(good["photographs"][0]["sha256"]) == 64
    assert all(good[name] for name in PICTURES)
    assert all(bad[name] is None for name in PICTURES)


def test_from_python_tables_dicts_and_arrays(model: Any) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(A))).convert("RGB"))
    one = model.predict(pd.DataFrame({"image_a": [A], "image_b": [B]}, index=["pair"]))
    assert list(one.index) == ["pair"]
    expected = one["similarity"].tolist()
    for question in (
        {"image_a": [A], "image_b": [B]},
        {"image_a": A, "image_b": B},
        {"image_a": np.array([A]), "image_b": np.array([B])},
        pd.DataFrame({"image_a": [base64.b64decode(A)], "image_b": [Image.open(io.BytesIO(base64.b64decode(B)))]}),
        pd.DataFrame({"image_a": [pixels], "image_b": [B]}),
    ):
        assert model.predict(question)["similarity"].tolist() == expected
    assert len(model.predict({"image_a": [A, B], "image_b": [B, A]})) == 2
    with pytest.raises(Exception, match="as many of one column as of the other"):
        model.predict({"image_a": [A, B], "image_b": [B]})
