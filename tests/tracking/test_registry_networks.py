"""A training stage's networks as an MLflow model: loaded elsewhere, by another process, with its own code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from in_mlflow import sent, waiting

from pipeline_lib.networks.backbones.iresnet import Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, save_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.networks import Patches
from pipeline_lib.tracking import network_package
from pipeline_lib.tracking.logged_model import pinned
from pipeline_lib.tracking.network_package import REQUIREMENTS, log_networks, signature
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.tracking.store import RegistryError, import_mlflow

IRESNET = Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8)
SPECS = {
    "iresnet": IRESNET,
    "rrfnet56": IRESNET.model_copy(update={"patches": Patches(side_px=56, layout="cross5")}),
    "p28_x0_y14": IRESNET.model_copy(update={"input_px": 28}),
    "p28_x14_y0": IRESNET.model_copy(update={"input_px": 28}),
    "p56_x28_y28": IRESNET.model_copy(update={"input_px": 56}),
}
# Each batch is float32 arithmetic in another process, with its own thread count and batch split: the order of sums differs.
FLOAT32 = 1e-5

STRANGER = """
import json, sys
import mlflow, numpy as np
answers = {}
for uri, name, faces in json.load(open("questions.json")):
    model = mlflow.pyfunc.load_model(uri)
    x = np.load(faces)
    params = {"network": name} if name else {}
    answers[f"{uri} {name}"] = [model.predict(x, params={**params, "normalise": flag}).tolist() for flag in (False, True)]
    assert model.predict(x[:0], params=params).shape == (0, 8)
import pipeline_lib
answers["code"] = list(pipeline_lib.__path__)
json.dump(answers, open("answers.json", "w"))
"""


def write_networks(folder: Path, *names: str) -> dict[Path, NetworkSpec]:
    for seed, name in enumerate(names):
        network = build_network(SPECS[name], seed)
        for value in network.buffers():  # running statistics that are not those of a fresh network
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
        save_network(folder / name, network)
    return {folder / name: SPECS[name] for name in names}


def images(name: str, num: int) -> np.ndarray:
    side = SPECS[name].input_px
    return np.random.default_rng(7).uniform(-1, 1, (num, 3, side, side)).astype(np.float32)


@pytest.mark.slow
def test_models_embed_in_another_process_and_folder(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An iresnet, an rrfnet, and a group of regions of two sizes; by run and by model."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    expected, questions = {}, []
    for names in (["iresnet"], ["rrfnet56"], ["p28_x0_y14", "p28_x14_y0", "p56_x28_y28"]):
        folders = write_networks(workplace / "networks", *names)
        with stage_run("train@x", {"train": {"seed": 1}}, {}) as run:
            run.log_metrics({"loss": 4.0}, 3)
            run.log_metrics({"loss": 2.0}, 7)
            log_networks(run, folders, 7)
            run_id = run.run_id
            assert run.client.get_run(run_id).info.status == "RUNNING"  # MLflow's start_run would have ended it
        client, found, _ = sent(run)
        assert (found.info.run_id, found.info.status) == (run_id, "FINISHED")
        (logged,) = client.search_logged_models([found.info.experiment_id], f"source_run_id = '{run_id}'")
        assert logged.params["train.seed"] == "1"
        assert [(metric.key, metric.value) for metric in logged.metrics if metric.key == "loss"] == [("loss", 2.0)]
        for name in names:
            num = 70 if name == "p28_x0_y14" else 3  # more than a batch of 64
            faces = images(name, num)
            np.save(elsewhere / f"{name}.npy", faces)
            with torch.inference_mode():
                embedded = load_network(workplace / "networks" / name)(torch.from_numpy(faces)).numpy()
            model = names[0] if len(names) == 1 else "x"  # the only network's name, or what the stage trains
            for place in (f"runs:/{run_id}/{model}", logged.model_uri):
                given = "" if len(names) == 1 else name  # one network needs no name
                questions.append((place, given, f"{name}.npy"))
                expected[f"{place} {given}"] = embedded
    (elsewhere / "questions.json").write_text(json.dumps(questions))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{workplace}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", STRANGER], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads((elsewhere / "answers.json").read_text())
    assert answers.pop("code")[0].endswith("/code/pipeline_lib")  # the model's own copy of the code
    assert answers.keys() == expected.keys()
    for question, embedded in expected.items():
        plain, unit = map(np.array, answers[question])
        np.testing.assert_allclose(plain, embedded, rtol=FLOAT32, atol=FLOAT32)
        lengths = np.linalg.norm(embedded, axis=1, keepdims=True)
        np.testing.assert_allclose(unit * lengths, embedded, rtol=FLOAT32, atol=FLOAT32)
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, atol=FLOAT32)


def test_files_of_a_model(workplace: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    """No pickle, no compiled file, pinned requirements, the networks' own files, below the store; and no chatter."""
    folders = write_networks(workplace / "networks", "p28_x0_y14", "p28_x14_y0")
    with stage_run("train@x", {}, {}) as run:
        log_networks(run, folders, 0)
    for folder in folders:  # as DVC does before a rerun: what was spooled does not need them
        shutil.rmtree(folder)
    client, found, _ = sent(run)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not waiting()
    assert not [warning for warning in recwarn if "mlflow" in str(warning.filename)]
    shown = {item.path for item in client.list_artifacts(found.info.run_id, "x")}
    assert {"x/MLmodel", "x/requirements.txt", "x/network_model.py"} <= shown
    (model,) = (workplace / "mlartifacts" / "models").iterdir()
    files = {path.relative_to(model / "artifacts").as_posix() for path in model.rglob("*") if path.is_file()}
    networks = {
        f"artifacts/{name}/network.{kind}" for name in ("p28_x0_y14", "p28_x14_y0") for kind in ("json", "safetensors")
    }
    assert {name for name in files if name.startswith("artifacts/")} == networks
    assert not [name for name in files if name.endswith((".pkl", ".pyc"))]
    assert (model / "artifacts" / "requirements.txt").read_text().split() == pinned(REQUIREMENTS)


def test_signature_says_what_goes_in_and_out() -> None:
    def shapes(*names: str) -> tuple[object, ...]:
        made = signature({name: (SPECS[name].input_px, SPECS[name].embedding_dim) for name in names})
        (given,), (answered,) = made.inputs.inputs, made.outputs.inputs
        assert given.type == answered.type == np.dtype("float32")
        defaults = {item.name: item.default for item in made.params}
        assert defaults == {"network": names[0], "normalise": False}
        return given.shape, answered.shape

    assert shapes("iresnet") == ((-1, 3, 112, 112), (-1, 8))
    assert shapes("p28_x0_y14", "p28_x14_y0") == ((-1, 3, 28, 28), (-1, 8))
    assert shapes("p28_x0_y14", "p56_x28_y28") == ((-1, 3, -1, -1), (-1, 8))


def test_wrong_questions_are_refused(workplace: Path) -> None:
    folders = write_networks(workplace / "networks", "p28_x0_y14", "p56_x28_y28")
    with stage_run("train@x", {}, {}) as run:
        log_networks(run, folders, 0)
    model = import_mlflow().pyfunc.load_model(f"runs:/{sent(run)[1].info.run_id}/x")
    with pytest.raises(Exception, match=r"no such network(.|\n)*got: nobody(.|\n)*p28_x0_y14, p56_x28_y28"):
        model.predict(images("p28_x0_y14", 1), params={"network": "nobody"})
    with pytest.raises(Exception, match=r"for p56_x28_y28 have another shape(.|\n)*28, 28"):
        model.predict(images("p28_x0_y14", 1), params={"network": "p56_x28_y28"})
    with pytest.raises(Exception, match="float64"):  # MLflow's, from the signature
        model.predict(images("p28_x0_y14", 1).astype(np.float64))


def test_model_that_the_store_does_not_take_goes_out_later_and_once(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is killed while it logs the model, and after; the next one mends the one and leaves the other."""
    folders = write_networks(workplace / "networks", "p28_x0_y14")
    with stage_run("train@x", {}, {}) as run:
        log_networks(run, folders, 0)
    begun = network_package.log_pyfunc

    def killed_at_the_start(run: Any, name: str, *args: Any, **kwargs: Any) -> str:
        experiment = run.client.get_run(run.run_id).info.experiment_id
        run.client.create_logged_model(experiment, name=name, source_run_id=run.run_id)
        raise OSError("killed")

    def killed_at_the_end(*args: Any, **kwargs: Any) -> str:
        begun(*args, **kwargs)
        raise OSError("killed")

    for killed in (killed_at_the_start, killed_at_the_end):
        monkeypatch.setattr(network_package, "log_pyfunc", killed)
        with pytest.raises(RegistryError, match="stays in the spool"):
            sent(run)
    monkeypatch.setattr(network_package, "log_pyfunc", begun)
    client, found, _ = sent(run)
    (model,) = client.search_logged_models([found.info.experiment_id])
    assert (model.status.value, model.name, found.info.status) == ("READY", "p28_x0_y14", "FINISHED")


def test_class_weights_stay_at_home(workplace: Path) -> None:
    """They name the training people, and no embedding needs them."""
    folders = write_networks(workplace / "networks", "iresnet")
    (workplace / "networks/iresnet/classes.json").write_text("{}")
    with stage_run("train@iresnet", {}, {}) as run:
        log_networks(run, folders, 2)
        (copied,) = run.journal.path.with_suffix("").rglob("network.json")
    assert {path.name for path in copied.parent.iterdir()} == {"network.json", "network.safetensors"}
