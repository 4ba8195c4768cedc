"""The console command as people run it: in a process of its own, against a store with a registered model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.reasons import GRADIENTS, WHOLE
from pipeline_lib.schemas.manifest import MANIFEST


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A folder with mlflow.db, a registered tiny model, and two photographs."""
    folder = tmp_path_factory.mktemp("cli")
    helpers = repository / "tests" / "delivery"
    code = f"import sys; sys.path.insert(0, {str(helpers)!r}); from pathlib import Path; import tiny_verifier as t;"
    code += "t.register_tiny(Path.cwd()); t.register_tiny(Path.cwd(), auc=0.5);"
    code += "t.register_tiny(Path.cwd(), auc=0.4, score='cosine:iresnet')"
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=environment, capture_output=True)
    for name, data in zip(("a.png", "<b>.png"), example_photographs(), strict=True):
        (folder / name).write_bytes(data)
    (folder / "text.jpg").write_text("no picture")
    return folder


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return subprocess.run(
        [sys.executable, "-m", "pipeline_lib.cli", *arguments],
        cwd=folder, env={**environment, "COLUMNS": "200"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_verify_prints_the_verdict_and_writes_the_page(store: Path) -> None:
    done = command(store, "verify", "a.png", "<b>.png", "--html", "out.html")
    assert done.returncode == 0, done.stderr
    for expected in (
        "atch: the two faces are",
        "similarity",
        "probability",
        "0.300",
        "evidence, not an identification",
    ):
        assert expected in done.stdout
    page = (store / "out.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert "http:" not in page
    assert "https:" not in page
    assert 'id="sums"' in page
    assert "A second method, occlusion" in done.stdout or "Take the places with care" in done.stdout
    assert "Page: out.html" in done.stdout


@pytest.mark.slow
def test_a_network_that_is_no_sum_shows_what_its_score_reacts_to(store: Path) -> None:
    pair = ("verify", "a.png", "<b>.png", "--model", "models:/face-verifier/3")
    done = command(store, *pair, "--html", "plain.html")
    assert done.returncode == 0, done.stderr
    assert GRADIENTS in done.stdout
    page = (store / "plain.html").read_text(encoding="utf-8")
    assert GRADIENTS in page
    assert "data:image/png;base64," in page
    assert "adds" not in page
    answer = json.loads(command(store, *pair, "--json").stdout)
    assert (answer["explanation"], answer["contributions"], answer["score"]) == (GRADIENTS, None, "cosine:iresnet")
    assert (answer["method"], answer["terms"]) == ("xssab", None)
    assert "occlusion" in answer["reliability"]


@pytest.mark.slow
def test_verify_by_another_method_and_as_a_picture(store: Path) -> None:
    pair = ("verify", "a.png", "<b>.png", "--model", "models:/face-verifier/3", "--no-check", "--method")
    answer = json.loads(command(store, *pair, "occlusion", "--png", "faces.png", "--json").stdout)
    assert (answer["method"], answer["reliability"]) == ("occlusion", None)
    assert (store / "faces.png").read_bytes().startswith(b"\x89PNG")
    refused = command(store, *pair, "additive")
    assert refused.returncode == 1
    assert "not explained by that method" in refused.stderr


@pytest.mark.slow
def test_verify_as_json(store: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{store}/mlflow.db"
    photos = (str(store / "a.png"), str(store / "a.png"))
    done = command(tmp_path, "verify", *photos, "--json", "--tracking-uri", uri, "--model", "models:/face-verifier/1")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["match"] is True
    assert answer["similarity"] == pytest.approx(1.0, abs=1e-6)  # float32
    assert sum(part["contribution_a"] for part in answer["contributions"]) == pytest.approx(1.0, abs=1e-6)
    assert answer["model"] == "models:/face-verifier/1"
    assert (answer["explanation"], answer["is_cosine"], answer["method"]) == (WHOLE, True, "additive")
    sums = [sum(row) for row in answer["terms"]]
    assert sums == pytest.approx([part["contribution_a"] for part in answer["contributions"]], abs=1e-12)
    assert not {"png", "maps", "face_a", "face_b"} & answer.keys()


@pytest.mark.slow
def test_identify_asks_the_champion(store: Path, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    for name in ("a.png", "<b>.png", "text.jpg"):
        shutil.copy(store / name, tmp_path / "people" / name)
    search = ("identify", "a.png", "--gallery", str(tmp_path / "people"), "--cache", str(tmp_path / "cache"))
    done = command(store, *search, "--json", "--html", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["model"], answer["score"]) == ("models:/face-verifier@champion", "cosine:rrfnet")
    assert (answer["name"], answer["candidates"][0]["similarity"]) == ("a", pytest.approx(1.0, abs=1e-6))
    assert [one["key"] for one in answer["unusable"]] == ["text.jpg"]
    assert "&lt;b&gt;" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "a.png", "text.jpg"), "image_b: not an image"),
        (("identify", "a.png", "--gallery", ".", "--model", "models:/face-verifier@nobody"), "cannot be loaded"),
        (("verify", "a.png", "a.png", "--model", "models:/face-verifier@nobody"), "cannot be loaded"),
        (("promote", "9"), "There is no such model version"),
    ],
)
def test_no_verdict_is_exit_code_1_and_one_message(store: Path, arguments: tuple[str, ...], message: str) -> None:
    done = command(store, *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_promote_moves_the_champion(store: Path) -> None:
    assert command(store, "promote", "2").stdout == "face-verifier version 2 is the champion (before: version 1).\n"
    assert command(store, "promote", "1").stdout == "face-verifier version 1 is the champion (before: version 2).\n"


def test_folder_without_a_store(tmp_path: Path) -> None:
    done = command(tmp_path, "promote", "1")
    assert done.returncode == 1
    assert "There is no MLflow store here" in done.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_wrong_command_line_is_exit_code_2(tmp_path: Path) -> None:
    assert command(tmp_path, "verify", "only-one.jpg").returncode == 2


def write_summary(data: Path) -> None:
    for folder in ("register", "verify", "report"):
        (data / folder).mkdir(parents=True)
    registered = {"name": "face-verifier", "version": 3, "aliases": ["challenger"], "reason": "not better"}
    (data / "register" / "registered.json").write_text(json.dumps(registered))
    row = {"accuracy_mean": 0.5, "accuracy_std": 0.0, "auc": 0.5, "eer": 0.5, "num_genuine": 3, "num_impostor": 4}
    (data / "verify" / "metrics.json").write_text(json.dumps({"synthetic": {"raw_pixel": row}}))
    (data / "report" / "index.html").write_text("x")


def test_summary(tmp_path: Path) -> None:
    write_summary(tmp_path / "data")
    done = command(tmp_path, "summary")
    assert done.returncode == 0, done.stderr
    assert "synthetic  raw_pixel  50.00 ± 0.00 %  0.5000  50.00 %  3 + 4" in done.stdout
    assert f"Report   {tmp_path}/data/report/index.html" in done.stdout
    assert f"MLflow   sqlite:///{tmp_path}/mlflow.db" in done.stdout
    assert "models:/face-verifier/3 (challenger): not better" in done.stdout
    assert "Claims   none yet; `dvc repro claims`" in done.stdout
    (tmp_path / "data" / "report" / "index.html").unlink()
    missing = command(tmp_path, "summary")
    assert missing.returncode == 0
    assert "Report   none yet; `dvc repro report`" in missing.stdout


def test_summary_says_what_was_left_out_and_whose_calibration_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_summary(data)
    photo = {"image_id": "a", "identity": "ann", "split": "val", "media": "a", "uri": "a.jpg", "width": 9, "height": 9}
    photo |= {"sha256": "0" * 64, "landmarks": None}
    write_table(data / "ingest" / "manifest.parquet", table_from_rows([photo], MANIFEST), MANIFEST)
    (data / "train" / "published").mkdir(parents=True)
    (data / "train" / "published" / "metrics.json").write_text(json.dumps({"trained": False}))
    path = data / "register" / "registered.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "note": "the package's calibration"}))
    shown = command(tmp_path, "summary")
    assert shown.returncode == 0, shown.stderr
    assert "Left out training, region networks, re-ranking, explanations. params.yaml trains nothing" in shown.stdout
    assert "Here are 1, with 1 photographs" in shown.stdout
    assert "(challenger): not better\n         the package's calibration\n" in shown.stdout
    (data / "train" / "published" / "metrics.json").write_text(json.dumps({"trained": True}))
    assert "Left out" not in command(tmp_path, "summary").stdout


def test_summary_of_a_rebuild_without_a_model_or_figures(tmp_path: Path) -> None:
    (tmp_path / "data" / "register").mkdir(parents=True)
    nothing = {"name": "face-verifier", "version": None, "aliases": [], "reason": "there is nothing to register"}
    (tmp_path / "data" / "register" / "registered.json").write_text(json.dumps(nothing))
    write_claims(tmp_path / "data")
    done = command(tmp_path, "summary")
    assert done.returncode == 0, done.stderr
    assert "Model    none: there is nothing to register" in done.stdout
    assert "Claims   2 holds, 1 not measured" in done.stdout


def test_summary_of_nothing(tmp_path: Path) -> None:
    done = command(tmp_path, "summary")
    assert done.returncode == 1
    assert "There is no rebuild here" in done.stderr


def write_claims(data: Path) -> None:
    effect = {
        "measure": "AUC", "unit": "share", "effect": 0.02, "low": 0.01, "high": 0.03, "a": {"name": "rrfnet56", "figure": 0.97},
        "b": {"name": "iresnet", "figure": 0.95},
    }  # fmt: skip
    counts = {"margin": 0.0, "counted": "pairs", "num_pairs": 60, "num_identities": 30, "num_redrawn": 0}
    protocols = {
        "lfw": {"verdict": "holds", **effect, **counts},
        "cfp_fp": {"verdict": "holds", **effect, **counts},
        "val": {"verdict": "not measured", "missing": "a network with 56 px patches"},
    }
    claim = {"paper": "RRFNet", "text": "56 px patches beat the full face", "note": "", "protocols": protocols}
    (data / "claims").mkdir(parents=True)
    (data / "claims" / "claims.json").write_text(json.dumps({"R1": claim}))


def test_claims_are_printed_in_words(tmp_path: Path) -> None:
    write_claims(tmp_path / "data")
    done = command(tmp_path, "claims")
    assert done.returncode == 0, done.stderr
    for expected in (
        "R1  56 px patches beat the full face",
        "holds",
        "+2.00 points of AUC",
        "a network with 56 px patches",
    ):
        assert expected in done.stdout
    assert "claims.json" in command(tmp_path / "data", "claims").stderr
    file = tmp_path / "data" / "claims" / "claims.json"
    file.write_text(file.read_text().replace('"num_pairs"', '"pairs"'))  # as an earlier version may have had it
    old = command(tmp_path, "claims")
    assert old.returncode == 1
    assert "The claims are of another version; run `dvc repro claims`." in old.stderr
    assert "Traceback" not in old.stderr


def test_check_says_what_is_wrong_with_the_params(tmp_path: Path, repository: Path) -> None:
    shutil.copy(repository / "params.yaml", tmp_path)
    text = (tmp_path / "params.yaml").read_text()
    for folder in ("data/raw", "data"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "data" / "none").touch()
    done = command(tmp_path, "check")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "params.yaml is as it should be.\n"
    (tmp_path / "params.yaml").write_text(text.replace("detector: dlib", "detector: eyes"))
    wrong = command(tmp_path, "check")
    assert wrong.returncode == 1
    assert "align.detector" in wrong.stderr
    assert "Traceback" not in wrong.stderr
