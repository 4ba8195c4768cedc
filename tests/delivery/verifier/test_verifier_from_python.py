"""`from face_verifier import Verifier`: three ways to load, four sorts of photographs, and no MLflow."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_verifier import write_tiny

from face_verifier import Verifier, as_row
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.verifier.answers import EXPLAINED, FIGURES
from pipeline_lib.delivery.verifier.example import example_photographs

A, B = example_photographs()
WITHOUT_MLFLOW = """
import sys
from face_verifier import Verifier
print(Verifier.load(sys.argv[1]).verify("a.png", "b.png").similarity)
assert not {"mlflow", "prefect", "dvc", "matplotlib.pyplot", "pandas"} & set(sys.modules), sys.modules.keys()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tiny")
    for name, data in (("a.png", A), ("b.png", B), ("empty.png", encode_png(np.full((120, 120, 3), 90, np.uint8)))):
        (made / name).write_bytes(data)
    write_tiny(made)
    return made


def test_paths_bytes_arrays_and_pil_images_are_one(folder: Path) -> None:
    verifier = Verifier.load(folder)
    picture = Image.open(io.BytesIO(A))
    sorts = [str(folder / "a.png"), folder / "a.png", A, picture, np.asarray(picture.convert("RGB"))]
    answers = [verifier.verify(one, B, explain=False) for one in sorts]
    assert len({answer.similarity for answer in answers}) == 1
    np.testing.assert_array_equal(verifier.embed(A), verifier.embed(str(folder / "a.png")))
    assert verifier.embed(B).shape == (16,)


def test_an_answer_is_the_command_s(folder: Path) -> None:
    answer = Verifier.load(folder).verify(A, B, threshold=-0.9)
    assert (answer.match, answer.threshold) == (True, -0.9)
    assert answer.contributions
    assert tuple(as_row(answer, explained=True)) == (*FIGURES, *EXPLAINED)


def test_what_has_no_answer_is_an_error(folder: Path, tmp_path: Path) -> None:
    verifier = Verifier.load(str(folder / "verifier"))
    for bad in (folder / "empty.png", "gone.png", b"", None, np.zeros((5, 5))):
        with pytest.raises(DataError, match=r"no verdict(.|\n)*image_b"):
            verifier.verify(A, bad)
        with pytest.raises(DataError):
            verifier.embed(bad)
    with pytest.raises(DataError, match="holds no verifier"):
        Verifier.load(tmp_path)
    regions = Verifier.load(write_tiny(tmp_path, "regions:56"))
    with pytest.raises(DataError, match="no one vector"):
        regions.embed(A)


def test_several_threads_ask_one(folder: Path) -> None:
    verifier = Verifier.load(folder)
    expected = verifier.verify(A, B, explain=False)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: verifier.verify(A, B, explain=False).similarity, range(8))) == {
            expected.similarity
        }


def test_mlflow_is_not_imported(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MLFLOW, str(folder)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
