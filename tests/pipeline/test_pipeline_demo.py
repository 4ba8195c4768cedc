"""The whole pipeline on rendered faces at smoke size, with the real DVC, torchrun and MLflow."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from checkout import Checkout, put_two_faces
from docs_blocks import blocks, pages, to_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def ran_stages(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def test_every_stage_left_its_files(built: Checkout) -> None:
    data = built.folder / "data"
    inputs = pq.read_table(data / "ingest/manifest.parquet").num_rows
    aligned = pq.read_table(data / "align/index.parquet").to_pylist()
    rejected = pq.read_table(data / "align/rejects.parquet").num_rows
    assert inputs == len({row["image_id"] for row in aligned}) + rejected
    # Of the 24 people, 13 are for training, and scale=smoke takes 12 of them.
    assert inputs + pq.read_table(data / "ingest/rejects.parquet").num_rows == 23 * 6
    scores = pq.read_table(data / "verify/scores.parquet")
    for name in (
        "raw_pixel",
        "cosine:iresnet",
        "cosine:rrfnet56",
        "regions:56",
        "regions:p56_x0_y28",
        "dam:r",
        "dam:l",
    ):
        assert scores[name].null_count == 0
    metrics = json.loads((data / "verify/metrics.json").read_text())
    assert {"val", "synthetic"} <= set(metrics)
    for network in ("rrfnet56", "rrfnet28"):
        explained = json.loads((data / f"explain/{network}_additive/metrics.json").read_text())
        assert explained["additivity_max_error"] < 1e-5
    assert (data / "report/index.html").stat().st_size > 10_000


def test_shown_by_dvc(built: Checkout) -> None:
    shown = built.run("dvc", "metrics", "show").stdout.splitlines()
    assert max(map(len, shown)) <= 100, "no terminal is as wide"
    assert {"Path", "acc", "auc", "eer", "loss", "val_auc"} <= set(shown[0].split())
    listed = {line.split()[0] for line in shown[1:]}
    assert {"data/headline/synthetic/cosine/iresnet.json", "data/train/rrfnet56/headline.json"} <= listed
    assert "explain" in built.run("dvc", "dag", "--collapse-foreach-matrix", "--md").stdout
    built.run("dvc", "plots", "show", "--out", "plots")
    assert (built.folder / "plots" / "index.html").exists()


def test_second_repro_runs_nothing(built: Checkout) -> None:
    result = built.run("dvc", "repro")
    assert ran_stages(result.stdout) == set()
    assert "Data and pipelines are up to date." in result.stdout


def test_run_is_in_mlflow_under_one_parent(built: Checkout) -> None:
    code = """
import json
from mlflow import MlflowClient
client = MlflowClient("sqlite:///mlflow.db")
experiment = client.get_experiment_by_name("face-verifier")
runs = client.search_runs([experiment.experiment_id], max_results=500)
children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
print(json.dumps({
    "parents": len({run.data.tags["mlflow.parentRunId"] for run in children}),
    "stages": sorted({run.data.tags["stage"] for run in children}),
    "status": sorted({run.info.status for run in children}),
    "tags": sorted(set.intersection(*(set(run.data.tags) for run in children))),
}))
"""
    shown = json.loads(built.run(sys.executable, "-c", code).stdout.splitlines()[-1])
    assert shown["parents"] == 1
    assert shown["status"] == ["FINISHED"]
    listed = built.run("dvc", "stage", "list", "--name-only").stdout.split()
    assert set(shown["stages"]) == set(listed)
    assert "git_commit" in shown["tags"]


def test_a_network_that_is_not_surely_better_than_pixels_is_no_champion(built: Checkout) -> None:
    registered = json.loads((built.folder / "data/register/registered.json").read_text())
    assert registered["aliases"] == ["challenger"]
    # the validation pairs of so small a run are of too few people for an interval
    assert re.search("too few people to say whether it beats raw pixels.*To promote it by hand", registered["reason"])


def test_champion_serves_outside_the_repository(built: Checkout, tmp_path: Path) -> None:
    manifest = pq.read_table(built.folder / "data/ingest/manifest.parquet").to_pylist()
    aligned = set(pq.read_table(built.folder / "data/align/index.parquet")["image_id"].to_pylist())
    photos = [built.folder / row["uri"] for row in manifest if row["split"] == "test" and row["image_id"] in aligned]
    code = f"""
import mlflow, pandas as pd, json
from pathlib import Path
model = mlflow.pyfunc.load_model("models:/face-verifier@champion")
import pipeline_lib
photos = Path({str(photos[0])!r}), Path({str(photos[1])!r})
rows = pd.DataFrame({{"image_a": [photos[0], Path("no such file")], "image_b": [photos[1], photos[1]]}})
answer = model.predict(rows, params={{"explain": True}})
first = answer.iloc[0]
total = sum(patch["contribution_a"] for patch in first["contributions"])
print(json.dumps([float(first["similarity"]), total, bool(first["match"]), answer.iloc[1]["error"]]))
"""
    environment = {**built.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{built.folder}/mlflow.db"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    similarity, total, _, error = json.loads(result.stdout.splitlines()[-1])
    assert total == pytest.approx(similarity, abs=1e-5)  # float32 sums of a few terms of order 0.1
    assert error


def test_commands_on_the_demo(built: Checkout, repository: Path) -> None:
    """Everything else a reader of any page may type after `make repro`, on the smoke-sized demo: exit code 0 each."""
    put_two_faces(built)
    typed = list(dict.fromkeys(line for page in pages(repository) for line in to_run(page)))
    for start in (
        "face-verifier verify",
        "face-verifier identify",
        "face-verifier export-faces",
        "python examples/tour.py",
    ):
        assert any(line.startswith(start) for line in typed), start
    for line in typed:
        keeps = "XDG_CACHE_HOME=$PWD/.git/cache " if line.startswith("face-verifier identify") else ""
        began = time.monotonic()
        built.run("bash", "-c", keeps + line)
        print(f"{time.monotonic() - began:.0f} s: {line}")  # shown where the time runs out


def test_mlflow_serves_the_registered_model(built: Checkout, repository: Path) -> None:
    put_two_faces(built)
    marked = [
        block for block in blocks(repository / "docs" / "operations.md") if block.run_by.endswith(Path(__file__).name)
    ]
    ((serve, *ask),) = (block.lines for block in marked)
    with (built.folder / "served.txt").open("w") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"exec env {serve}"],
            cwd=built.folder,
            env=built.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while built.run("bash", "-c", "curl -s http://127.0.0.1:5001/ping", check=False).returncode:
            assert time.monotonic() < deadline, (built.folder / "served.txt").read_text()
            assert server.poll() is None, (built.folder / "served.txt").read_text()
            time.sleep(0.5)
        (answer,) = json.loads(built.run("bash", "-c", "; ".join(ask)).stdout)["predictions"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
    assert answer["error"] is None
    assert answer["match"] == (answer["similarity"] > answer["threshold"])


def test_python_examples_run(readme: str, built: Checkout) -> None:
    """The ```python blocks, with a.jpg and b.jpg in the working directory."""
    put_two_faces(built)
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        built.run("python", "-c", block)


EMPTY: dict[str, dict] = {
    name: {} for name in ("networks", "networks_over", "anchors", "scores", "galleries", "rerank", "explanations")
}
NO_REGIONS = {"alone": {}, "margin_px": 5}


def copied(built: Checkout, folder: Path, **tables: dict) -> Checkout:
    """A copy of the rebuild with other tables of params; those that are not given are empty, or absent for every second."""
    shutil.copytree(built.folder, folder, symlinks=True)
    params = yaml.safe_load((folder / "params.yaml").read_text()) | EMPTY | {"regions": NO_REGIONS} | tables
    params["register"]["candidates"] = "auto"
    for name in list(EMPTY)[::2]:
        if not params[name]:
            del params[name]
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    checkout = built.copy(folder)
    checkout.use_one_process()
    checkout.run("face-verifier", "check")  # removes what earlier entries left
    return checkout


def headline(checkout: Checkout) -> set[str]:
    """The columns that the summary shows."""
    shown = checkout.run("face-verifier", "summary").stdout
    metrics = json.loads((checkout.folder / "data/verify/metrics.json").read_text())
    columns = set(metrics.get("synthetic", {}))
    assert all(name.split(":")[0] in shown for name in columns)
    assert checkout.run("face-verifier", "claims").stdout
    return columns


def test_only_an_imported_checkpoint_and_its_cosine(built: Checkout, tmp_path: Path) -> None:
    """No training at all: the one network is registered, and no score is missed."""
    network = yaml.safe_load((built.folder / "params.yaml").read_text())["networks"]["iresnet"]
    built.run("face-verifier", "export", "--network", "data/networks/iresnet", "--out", str(tmp_path / "theirs.pth"))
    imported = {**network, "epochs": 0, "head": {"kind": "none"}, "checkpoint": str(tmp_path / "theirs.pth")}
    scores = {"cosine": {"kind": "cosine", "of": "embed", "with": "none"}}
    checkout = copied(built, tmp_path / "checkout", networks={"theirs": imported}, scores=scores)
    ran = ran_stages(checkout.run("dvc", "repro").stdout)
    assert ran == {
        "shard_patches",
        "train@theirs",
        "embed@theirs",
        "score@cosine",
        "verify",
        "register",
        "claims",
        "report",
    }
    assert headline(checkout) == {"cosine:theirs"}
    registered = json.loads((checkout.folder / "data/register/registered.json").read_text())
    assert registered["metric"]["score"] == "cosine:theirs"
    put_two_faces(checkout)
    answer = json.loads(checkout.run("face-verifier", "verify", "a.jpg", "b.jpg", "--json").stdout)
    assert -1 <= answer["similarity"] <= 1


def test_only_regions(built: Checkout, tmp_path: Path) -> None:
    """Approach A alone: nothing is trained again, and its weighted sum is the registered model."""
    params = yaml.safe_load((built.folder / "params.yaml").read_text())
    tables = {"regions": params["regions"], "scores": {"regions": params["scores"]["regions"]}}
    checkout = copied(built, tmp_path / "checkout", **tables)
    assert ran_stages(checkout.run("dvc", "repro").stdout) == {"verify", "register", "claims", "report"}
    assert headline(checkout) == {"regions:28", "regions:56", "regions:28_56"}
    registered = json.loads((checkout.folder / "data/register/registered.json").read_text())
    assert registered["metric"]["score"].startswith("regions:")
    put_two_faces(checkout)
    assert "similarity" in json.loads(checkout.run("face-verifier", "verify", "a.jpg", "b.jpg", "--json").stdout)


def test_nothing_but_faces(built: Checkout, tmp_path: Path) -> None:
    """Every table empty: faces are aligned, nothing is scored, and the report and the registry say so."""
    checkout = copied(built, tmp_path / "checkout")
    assert ran_stages(checkout.run("dvc", "repro").stdout) == {
        "shard_patches",
        "verify",
        "register",
        "claims",
        "report",
    }
    assert headline(checkout) == set()
    registered = json.loads((checkout.folder / "data/register/registered.json").read_text())
    assert registered["version"] is None
    assert registered["reason"]


def test_everything_that_docs_extending_adds(built: Checkout, tmp_path: Path, repository: Path) -> None:
    """Its files and entries, put into a checkout: each runs through its stage, and nothing else runs but what uses it."""
    page = (repository / "docs" / "extending.md").read_text()
    files = dict(re.findall(r"`([\w/]+\.(?:py|html\.j2))`:\n\n```\w+\n(.*?)```", page, flags=re.DOTALL))
    entries = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)]
    assert len(files) == 8
    assert len(entries) == 6
    folder = tmp_path / "checkout"
    shutil.copytree(built.folder, folder, symlinks=True)
    for name, text in files.items():
        (folder / "pipeline_lib" / name).write_text(text)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for entry in entries:
        ((section, value),) = entry.items()
        params[section] |= value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    checkout = built.copy(folder)
    checkout.use_one_process()
    checkout.run("face-verifier", "check")
    ran = ran_stages(checkout.run("dvc", "repro").stdout)
    own = {"train@colours", "embed@colours", "score@euclidean", "rerank@same_place", "explain@iresnet_centre"}
    own |= {"build_anchors@mean_faces"}
    of_every_network = {"score@cosine", "score@cosine_centred"}  # colours, too
    # Which networks an entry of networks_over stands on is a list, which dvc.yaml cannot spell out: it waits for all of them.
    over = {f"{stage}@iresnet_xcos" for stage in ("train_over", "embed_over")}
    over |= {f"explain@iresnet_xcos_{which}" for which in "ws"}
    assert ran == own | of_every_network | over | {"verify", "register", "claims", "report"}
    metrics = json.loads((folder / "data/verify/metrics.json").read_text())
    assert {"cosine:colours", "euclidean:colours", "euclidean:rrfnet56"} <= set(metrics["synthetic"])
    assert metrics["synthetic"]["euclidean:colours"]["accuracy_std"] == 0
    assert json.loads((folder / "data/explain/iresnet_centre/metrics.json").read_text())["num_pairs"] > 0
    report = (folder / "data/report/index.html").read_text()
    assert 'href="#photographs"' in report
    assert "138 photographs" in report


def test_an_explanation_s_setting_reruns_it_and_what_reads_it_only(built: Checkout) -> None:
    """Runs last of the module: it changes params.yaml. What the section's own params rerun, tests/architecture says."""
    params = built.folder / "params.yaml"
    document = yaml.safe_load(params.read_text())
    document["explanations"]["iresnet_xssab"]["blur"] = True
    params.write_text(yaml.safe_dump(document))
    assert ran_stages(built.run("dvc", "repro").stdout) == {"explain@iresnet_xssab", "claims", "report"}


def test_killed_stage_leaves_nothing_half_written(built: Checkout) -> None:
    """A stage killed in the middle is run again to the same bytes."""
    index = built.folder / "data/align/index.parquet"
    before = index.read_bytes()
    shards = built.folder / "data/align/shards"
    first_shard = sorted(shards.iterdir())[0].read_bytes()
    process = subprocess.Popen(
        ["dvc", "repro", "--single-item", "--force", "align"],
        cwd=built.folder,
        env=built.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(6)  # DVC has removed the outputs and the workers are starting
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not index.exists() or index.read_bytes() == before
    built.run("dvc", "repro", "--single-item", "--force", "align")
    assert index.read_bytes() == before
    assert sorted(shards.iterdir())[0].read_bytes() == first_shard
    assert not list((built.folder / "data/align").glob(".*partial*"))
