"""What MLflow shows of a training stage, run as DVC runs it: every row of the history, the machine, the networks."""

import csv
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from stage_data import write_stage_data

from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.tracking.send import send_all
from pipeline_lib.tracking.store import import_mlflow, open_client

TINY = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 8, "checkpoint": "data/none"}
HEAD = {"kind": "arcface", "scale": 8.0, "margin": 0.2}
POSITIONS = ["p28_x0_y14", "p56_x28_y28"]
NAMES_IN_MLFLOW = re.compile(r"[\w\-./ :]+")


@pytest.mark.slow
def test_history_machine_and_networks_of_a_group(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks train two region networks together; the store holds one run, that of rank 0."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["train"] |= {"batch_size": 4, "micro_batch_size": 2, "validate_every_epochs": 1}
    network = {**TINY, "head": HEAD, "epochs": 2}
    params["regions"] = {"alone": {}, "margin_px": 5, "network": network, "groups": {"both": POSITIONS}}
    (tmp_path / "machine.yaml").write_text("{processes: 2, log_every_steps: 2}")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_stage_data(tmp_path / "data")
    options = ["--group", "both", "--aligned", "data/align", "--pairs", "data/ingest/pairs.parquet"]
    options += ["--out", "data/region_networks/both", "--record", "data/train_region/both"]
    settings = {"PYTHONPATH": str(repository), "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.1"}
    done = subprocess.run(
        [sys.executable, "-m", "stages.train_regions", *options],
        cwd=tmp_path,
        env={**os.environ, **settings, "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "MLflow" not in done.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    send_all()
    client = open_client()
    (experiment,) = [item for item in client.search_experiments() if item.name == "face-verifier"]
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'train_regions@both'")
    assert run.info.status == "FINISHED"

    with (tmp_path / "data/train_region/both/history.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["step"] for row in rows] == ["2", "3", "4", "6"]  # every 2 steps, and validated every epoch of 3
    figures = {"loss", "learning_rate", "gradient_norm", "images_per_s", "data_wait_share", "peak_memory_bytes"}
    of_each = {f"{name}.{position}" for name in ("loss", "val_auc") for position in POSITIONS}
    assert figures | of_each | {"epoch", "val_auc", "val_eer"} <= rows[0].keys() | rows[1].keys()
    for name in rows[0].keys() - {"step"}:
        expected = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        logged = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        assert logged[: len(expected)] == expected, name
        assert {step for step, _ in logged[len(expected) :]} <= {6}, name  # metrics.json's figures join the last step
    assert all(NAMES_IN_MLFLOW.fullmatch(name) and math.isfinite(value) for name, value in run.data.metrics.items())
    final = json.loads((tmp_path / "data/train_region/both/metrics.json").read_text())
    for name in ("trained", "epochs", "head", "checkpoint", "teacher", "arch", "description"):
        del final[name]
    assert {name: run.data.metrics[name] for name in final} == pytest.approx(final)
    system = {name for name in run.data.metrics if name.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= system

    mlflow = import_mlflow()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")  # another test of this process may have set its own
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/both")
    for position, side in zip(POSITIONS, (28, 56), strict=True):
        patches = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
        with torch.inference_mode():
            expected = load_network(tmp_path / "data/region_networks/both" / position)(
                torch.from_numpy(patches)
            ).numpy()
        answered = model.predict(patches, params={"network": position})
        np.testing.assert_allclose(
            answered, expected, rtol=1e-5, atol=1e-5
        )  # float32; one thread there, here maybe two
