"""The registered pyfunc model, loaded as a stranger would: another process, another folder, its own code."""

import ast
import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_verifier import register_tiny

from pipeline_lib.core.kinds import kind_names
from pipeline_lib.delivery.registry.package import REQUIREMENTS
from pipeline_lib.delivery.verifier import answers
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.methods import method_names
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.tracking import network_package
from pipeline_lib.tracking.logged_model import pinned

STRANGER = """
import base64, json, sys
from pathlib import Path
import mlflow, pandas as pd
photo_a, photo_b, no_face = (Path(name) for name in sys.argv[1:4])
model = mlflow.pyfunc.load_model("models:/face-verifier@champion")
text = base64.b64encode(photo_a.read_bytes()).decode()
table = pd.DataFrame({"image_a": [photo_a.read_bytes(), text, photo_a, no_face, 7, "/etc/passwd"],
                      "image_b": [photo_b.read_bytes(), photo_b, photo_b, photo_b, photo_b, str(photo_b)]})
plain = model.predict(table)
explained = model.predict(table, params={"explain": True})
import pipeline_lib
print(json.dumps({
    "code": list(pipeline_lib.__path__),
    "columns": list(plain.columns), "explained_columns": list(explained.columns),
    "similarity": plain["similarity"].tolist(), "match": plain["match"].tolist(), "error": plain["error"].tolist(),
    "sums": [None if parts is None else sum(part["contribution_a"] for part in parts) for parts in explained["contributions"]],
    "png": [None if png is None else png[:4].hex() for png in explained["png"]],
    "unlike": len(model.predict({"image_a": text, "image_b": text})),
}))
"""


def kinds(package: str) -> list[str]:
    """The modules of a folder of kinds, all of which a model may load."""
    return [f"{package}.{name}" for name in kind_names(package)]


# Distribution names of what the model's code imports, where they differ from the module's.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "dlib": "dlib-bin",
    "faiss": "faiss-cpu",
    "yaml": "pyyaml",
}
NOT_LOADED = {
    "sklearn",
    "scipy",
    "tqdm",
    "rich",
    "fsspec",
    "aiohttp",
}  # by functions that a model does not call, or asked for and done without
SORTS = (
    "cosine:bagnet",
    "cosine_centred:rrfnet",
    "dam:r",
    "regions:56",
)  # cosine:rrfnet above, cosine:iresnet in tests/cli
ANOTHER_PROCESS = """
import json, sys, mlflow, pandas as pd
from pathlib import Path
table = pd.DataFrame({"image_a": [Path("a.png")], "image_b": [Path("b.png")]})
answers = {}
for version in range(1, int(sys.argv[1]) + 1):
    model = mlflow.pyfunc.load_model(f"models:/face-verifier/{version}")
    row = model.predict(table, params={"explain": True}).iloc[0]
    answers[row["score"]] = [row["similarity"], bool(row["is_cosine"]), row["explanation"], row["png"] is not None]
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_model_answers_in_another_process_and_folder(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = register_tiny(workplace)
    assert made.aliases == ("champion", "challenger")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    photos = dict(zip(("a.png", "b.png"), example_photographs(), strict=True))
    for name, data in {**photos, "empty.png": b"no picture"}.items():
        (elsewhere / name).write_bytes(data)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{workplace}/mlflow.db"}
    command = [sys.executable, "-c", STRANGER, "a.png", "b.png", "empty.png"]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert str(workplace / "mlartifacts") in answer["code"][0]  # the model's own copy of the code
    assert answer["columns"] == ["similarity", "threshold", "match", "probability", "error", "warnings"]
    assert answer["explained_columns"] == [*answer["columns"], *answers.EXPLAINED]
    first = answer["similarity"][0]
    assert answer["similarity"][:3] == [first] * 3
    assert answer["error"][:3] == [None] * 3
    assert "image_a: not an image" in answer["error"][3]
    assert "got int" in answer["error"][4]
    assert answer["error"][5].count("not base64") == 2  # both texts are paths, and neither is opened
    assert "root" not in answer["error"][5]
    assert answer["match"][3:] == [None] * 3
    assert answer["sums"][0] == pytest.approx(first, abs=1e-6)  # float32 features
    assert answer["sums"][3:] == [None] * 3
    assert answer["png"][:3] == ["89504e47"] * 3
    assert answer["unlike"] == 1

    model = workplace / "model"
    assert (model / "artifacts" / "verifier" / "networks" / "rrfnet" / "network.safetensors").is_file()
    assert not list(model.rglob("*.pkl"))
    assert not list(model.rglob("__pycache__"))
    assert (model / "requirements.txt").read_text().split() == pinned(REQUIREMENTS)
    example = json.loads((model / "input_example.json").read_text())
    assert base64.b64decode(example["inputs"]["data"][0][0]).startswith(b"\x89PNG")


@pytest.mark.slow
def test_other_scores_answer_in_another_process(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    here = {}
    for score in SORTS:
        register_tiny(workplace, score=score)
        (answer,) = Verifier.load(workplace / "auc 0.9" / "verifier").compare([example_photographs()])
        shutil.rmtree(workplace / "auc 0.9")
        here[score] = answer.similarity
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name, data in zip(("a.png", "b.png"), example_photographs(), strict=True):
        (elsewhere / name).write_bytes(data)
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{workplace}/mlflow.db"}
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(len(SORTS))]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert list(answers) == list(SORTS)
    for score, (similarity, is_cosine, explanation, has_picture) in answers.items():
        assert similarity == pytest.approx(here[score], abs=1e-6)  # the same arithmetic in both processes
        assert is_cosine == score.startswith("cosine")
        assert explanation
        assert has_picture


@pytest.mark.parametrize(
    ("imported", "loaded_late", "requirements"),
    [
        (
            "delivery.verifier.verifier",
            (
                "data.faces.detection.mmod",
                "data.faces.detection.dlib",
                *kinds("matching.scores"),
                *kinds("networks.backbones"),
                *(f"why.explanation.{name}" for name in method_names()),
            ),
            REQUIREMENTS,
        ),
        (
            "networks.backbones.shared.checkpoints",
            ("tracking.network_model", *kinds("networks.backbones")),
            network_package.REQUIREMENTS,
        ),
    ],
)
def test_requirements_cover_what_the_models_code_imports(
    imported: str, loaded_late: tuple[str, ...], requirements: tuple[str, ...], repository: Path, tmp_path: Path
) -> None:
    """Every third-party module that a model's import closure names is required."""
    code = f"import pipeline_lib.{imported}, sys; print('\\n'.join(m for m in sys.modules if m.startswith('pipeline_lib')))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout.split()
    modules = {*(f"pipeline_lib.{name}" for name in loaded_late), *loaded}
    named: set[str] = set()
    for module in modules:
        path = repository / (module.replace(".", "/") + ".py")
        for node in ast.walk(ast.parse(path.read_text())) if path.is_file() else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            named |= {name.split(".")[0] for name in names}
    third_party = named - set(sys.stdlib_module_names) - {"pipeline_lib"} - NOT_LOADED
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} <= set(requirements)


def test_requirements_are_pinned_without_local_versions() -> None:
    assert all(line.count("==") == 1 and "+" not in line for line in pinned(REQUIREMENTS))
