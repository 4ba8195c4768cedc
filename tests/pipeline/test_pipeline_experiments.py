"""docs/experiments.md: its commands, with the real DVC and the real training stage on 13 small faces."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkout import Checkout
from docs_blocks import commands
from dvc.utils.hydra import compose_and_dump
from stage_data import write_stage_data

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = ("ingest", "align", "occlude", "train")
ONE = "dvc exp run train@iresnet -S train.learning_rate=0.1"
SWEEP = "dvc exp run --queue train@iresnet -S 'train.learning_rate=0.02,0.05,0.1'"
SHOW = r"dvc exp show --only-changed --drop '(?!Exp|train\.|.*(loss|val_auc)$)'"
START = ("git add dvc.lock params.yaml", 'git commit -m "The rebuild that I start from"')
TAKE = ("dvc exp apply NAME", "dvc repro", 'git commit -am "What NAME found"', "dvc exp remove NAME")
BACK = ("git checkout params.yaml dvc.lock", "dvc checkout")
METRICS = "data/train/iresnet/headline.json"
RUNS = """
import json
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
runs = client.search_runs([client.get_experiment_by_name("face-verifier").experiment_id], "tags.stage = 'train@iresnet'")
print(json.dumps([{"tags": run.data.tags, "params": run.data.params, "loss": run.data.metrics["loss"],
                   "models": [model.model_id for model in run.outputs.model_outputs]} for run in runs]))
"""


@pytest.fixture(scope="module")
def checkout(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The training cone of one network, whose inputs DVC takes for up to date, with two epochs of three steps to train."""
    made = Checkout(repository, tmp_path_factory.mktemp("experiments") / "checkout", OMP_NUM_THREADS="1")
    document = yaml.safe_load((made.folder / "dvc.yaml").read_text())
    document["stages"] = {name: document["stages"][name] for name in STAGES}
    document["stages"]["train"]["foreach"] = {"iresnet": "${networks.iresnet}"}
    (made.folder / "dvc.yaml").write_text(yaml.safe_dump(document))
    scale = made.folder / "conf" / "scale" / "demo.yaml"
    settings = yaml.safe_load(scale.read_text())
    settings["train"] |= {"batch_size": 4, "micro_batch_size": 4, "validate_every_epochs": 1}
    (made.folder / "machine.yaml").write_text("processes: 1\n")
    settings["networks"]["iresnet"]["epochs"] = 2
    scale.write_text("# @package _global_\n" + yaml.safe_dump(settings))
    compose_and_dump(str(made.folder / "params.yaml"), str(scale.parent.parent), None, "config", None, [])
    data = made.folder / "data"
    write_stage_data(data)
    (data / "ingest" / "photos").mkdir()
    tables = (
        "ingest/manifest",
        "ingest/rejects",
        "ingest/templates",
        "ingest/attributes",
        "align/rejects",
        "align/candidates",
    )
    for name in (*(f"{table}.parquet" for table in tables), "ingest/counts.json", "occlude/contact_sheet.png"):
        (data / name).touch()  # training does not read them
    made.run("dvc", "commit", "--force", *STAGES[:3])
    made.run("git", "add", "--all", ":!dvc.lock")
    made.run("git", "commit", "-q", "-m", "inputs")
    assert "?? dvc.lock" in made.run("git", "status", "--porcelain").stdout, "it is the user's to commit, as documented"
    for line in START:
        made.run("bash", "-c", line)
    return made


def experiments(checkout: Checkout) -> dict[str, Any]:
    """name -> what `dvc exp show --json` says of the experiments of this commit."""
    shown = json.loads(checkout.run("dvc", "exp", "show", "--json").stdout)
    (commit,) = [item for item in shown if item["experiments"]]
    return {item["name"]: item["revs"][0]["data"] for item in commit["experiments"] if item["revs"][0]["data"]}


def test_two_rates_are_two_experiments(checkout: Checkout, repository: Path) -> None:
    """One in the working folder, one in a copy of it as the queue makes them; both in DVC and in one MLflow store."""
    documented = commands(repository / "docs" / "experiments.md")
    assert {*START, ONE, SWEEP, SHOW, *TAKE, *BACK} <= set(documented)
    checkout.run("bash", "-c", ONE)
    copied = checkout.run("bash", "-c", f"{ONE[:-3]}0.02 --temp")
    assert "No file hash info" not in copied.stdout + copied.stderr
    found = experiments(checkout)
    rates = {name: data["params"]["params.yaml"]["data"]["train"]["learning_rate"] for name, data in found.items()}
    assert sorted(rates.values()) == [0.02, 0.1]
    losses = {name: data["metrics"][METRICS]["data"]["loss"] for name, data in found.items()}
    assert len(set(losses.values())) == 2
    assert all(name in checkout.run("bash", "-c", SHOW).stdout for name in found)

    checkout.run(sys.executable, "-m", "pipeline_lib.tracking.send")
    runs = json.loads(checkout.run(sys.executable, "-c", RUNS).stdout.splitlines()[-1])
    assert {run["tags"]["dvc_experiment"]: run["loss"] for run in runs} == losses
    assert {run["tags"]["dvc_experiment"]: float(run["params"]["train.learning_rate"]) for run in runs} == rates
    assert (
        len({run["tags"]["rebuild"] for run in runs}) == len({run["tags"]["mlflow.parentRunId"] for run in runs}) == 2
    )
    assert all(len(run["models"]) == 1 for run in runs)

    (slower,) = [name for name, rate in rates.items() if rate == 0.02]
    (faster,) = set(rates) - {slower}
    said = [checkout.run("bash", "-c", line.replace("NAME", slower)).stdout for line in TAKE]
    assert yaml.safe_load((checkout.folder / "params.yaml").read_text())["train"]["learning_rate"] == 0.02
    assert json.loads((checkout.folder / METRICS).read_text())["loss"] == losses[slower]
    assert "Data and pipelines are up to date." in said[1]
    assert not checkout.run("git", "status", "--porcelain", "params.yaml", "dvc.lock").stdout
    checkout.run("dvc", "exp", "apply", faster)
    assert json.loads((checkout.folder / METRICS).read_text())["loss"] == losses[faster]
    for line in BACK:
        checkout.run("bash", "-c", line)
    assert json.loads((checkout.folder / METRICS).read_text())["loss"] == losses[slower]


def test_sweep_queues_an_experiment_a_rate(checkout: Checkout) -> None:
    """Composed and queued; the worker, which stays in the background, is not started here."""
    checkout.run("bash", "-c", SWEEP)
    status = "dvc queue status"
    assert checkout.run("bash", "-c", status).stdout.count("Queued") == 3
    checkout.run("dvc", "queue", "remove", "--queued")
    assert checkout.run("bash", "-c", status).stdout.count("Queued") == 0
