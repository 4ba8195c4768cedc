"""The training stages as DVC starts them: they start their ranks themselves; a signal, a rerun; the import without data."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from stage_data import write_stage_data

from pipeline_lib.networks.backbones.iresnet import Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.heads.shared.class_weights import read_class_weights

TINY = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 8, "checkpoint": "data/none"}
HEAD = {"kind": "arcface", "scale": 8.0, "margin": 0.2}


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A folder with params.yaml, machine.yaml (two processes) and small data, in which the stages can run."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["train"] |= {"batch_size": 4, "warmup_epochs": 1, "micro_batch_size": 2, "validate_every_epochs": 1}
    params["networks"]["iresnet"] = {**TINY, "head": HEAD, "epochs": 2}
    params["networks"]["imported"] = {**TINY, "head": {"kind": "none"}, "epochs": 0, "checkpoint": "published.pth"}
    params["regions"] = {
        "network": {**TINY, "head": HEAD, "epochs": 1},
        "alone": {"p28_x0_y0": {}},
        "margin_px": 5,
        "groups": {"three": ["p28_x0_y14", "p28_x14_y14", "p56_x28_y28"]},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    write_machine(tmp_path / "machine.yaml", processes=2)
    write_stage_data(tmp_path / "data")
    return tmp_path


def write_machine(path: Path, **settings: object) -> None:
    """A machine that logs every step and saves every second."""
    path.write_text(yaml.safe_dump({"log_every_steps": 1, "checkpoint_every_steps": 2, **settings}))


def train_for(epochs: int, checkout: Path) -> None:
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["networks"]["iresnet"]["epochs"] = epochs
    (checkout / "params.yaml").write_text(yaml.safe_dump(params))


def command(stage: str, *options: str) -> list[str]:
    return [sys.executable, "-m", f"stages.{stage}", *options]


def environment(repository: Path, machine: Path | None = None) -> dict[str, str]:
    named = {} if machine is None else {"FACE_VERIFIER_MACHINE": str(machine)}
    return {**os.environ, "PYTHONPATH": str(repository), **named}


def run(words: list[str], checkout: Path, repository: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=checkout, env=environment(repository), capture_output=True, text=True, timeout=300)


def listeners(pids: set[int]) -> list[str]:
    """Addresses that these processes listen at, as /proc has them: hexadecimal, 0100007F is 127.0.0.1."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].partition(":")[0])
    return found


def wait_for(path: Path, *processes: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline and all(each.poll() is None for each in processes):
        time.sleep(0.05)


VALIDATION = ("--aligned", "data/align", "--pairs", "data/ingest/pairs.parquet")
FACES = (
    "--network", "iresnet", "--aligned", "data/align", "--occluded", "data/occlude", "--pairs", "data/ingest/pairs.parquet",
    "--teachers", "data/teachers", "--out", "data/networks/iresnet", "--record", "data/train/iresnet",
)  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_on_loopback_stop_on_sigterm_and_go_on(checkout: Path, repository: Path) -> None:
    train_for(500, checkout)
    words = command("train", *FACES)
    process = subprocess.Popen(
        words, cwd=checkout, env=environment(repository), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    resume = checkout / ".resume" / "networks" / "iresnet" / "checkpoint.safetensors"
    wait_for(resume, process)
    children = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "pipeline_lib.tracking.send" not in child.cmdline()  # MLflow's mirror, which ends by itself
    ]
    addresses = listeners({child.pid for child in children})
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "A signal stopped the training after step" in output, output
    assert len(children) == 3, "torchrun and two ranks"
    assert not any(child.is_running() for child in children)
    assert addresses
    assert {address[-8:] for address in addresses} == {"0100007F"}
    assert not (checkout / "data" / "networks").exists()
    assert not (checkout / "data" / "train").exists()

    train_for(2, checkout)  # other settings: the 500 epochs are not resumed, and that is said
    done = run(words, checkout, repository)
    assert done.returncode == 0, done.stderr
    assert "training starts anew" in done.stderr
    network = load_network(checkout / "data" / "networks" / "iresnet")
    assert network.spec == Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8)
    classes = read_class_weights(checkout / "data" / "networks" / "iresnet")
    assert (classes.weights.shape, len(set(classes.identities)), classes.scale) == ((3, 8), 3, 8.0)
    metrics = json.loads((checkout / "data" / "train" / "iresnet" / "metrics.json").read_text())
    assert (metrics["trained"], metrics["epochs"], metrics["arch"]) == (True, 2, "iresnet")
    assert metrics["description"] == "IResNet, ArcFace's residual network (blocks 1-1-1-1, width 0.125)"
    assert (metrics["num_images"], metrics["num_identities"], metrics["num_steps"]) == (13, 3, 6)
    with (checkout / "data" / "train" / "iresnet" / "history.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    columns = ["gradient_norm", "images_per_s", "data_wait_share", "peak_memory_bytes", "val_auc", "val_eer"]
    assert list(rows[0]) == ["step", "epoch", "loss", "learning_rate", *columns]
    assert [bool(row["val_auc"]) for row in rows] == 2 * [False, False, True]
    assert [int(row["step"]) for row in rows] == list(range(1, 7))
    assert float(rows[-1]["loss"]) == pytest.approx(metrics["loss"])
    assert not resume.parent.exists()


@pytest.mark.slow
def test_a_region_network(checkout: Path, repository: Path) -> None:
    options = ["--position", "p28_x0_y0", "--patches", "data/patches/p28_x0_y0", *VALIDATION]
    options += ["--out", "data/region_networks/p28_x0_y0", "--record", "data/train_region/p28_x0_y0"]
    done = run(command("train_region", *options), checkout, repository)
    assert done.returncode == 0, done.stderr
    assert load_network(checkout / "data" / "region_networks" / "p28_x0_y0" / "p28_x0_y0").spec.input_px == 28
    metrics = json.loads((checkout / "data" / "train_region" / "p28_x0_y0" / "metrics.json").read_text())
    assert (metrics["num_images"], metrics["num_steps"]) == (12, 3)


@pytest.mark.slow
def test_a_group_of_region_networks(checkout: Path, repository: Path) -> None:
    """Two of three are computed as one; two processes and one train the same."""

    def train(num_processes: int, name: str, group: str = "three") -> subprocess.CompletedProcess[str]:
        options = [
            "--group",
            group,
            *VALIDATION,
            "--out",
            f"data/region_networks/{name}",
            "--record",
            f"data/train_region/{name}",
        ]
        write_machine(checkout / "machine.yaml", processes=num_processes)
        return run(command("train_regions", *options), checkout, repository)

    losses = []
    for num_processes, name in ((2, "three"), (1, "by_one")):
        done = train(num_processes, name)
        assert done.returncode == 0, done.stderr
        with (checkout / "data" / "train_region" / name / "history.csv").open() as handle:
            rows = list(csv.DictReader(handle))
        losses.append([{key: float(value) for key, value in row.items() if key.startswith("loss")} for row in rows])
    assert losses[0] == [
        pytest.approx(row, rel=1e-3) for row in losses[1]
    ]  # three steps of float32 sums in another order
    for name, side in (("p28_x0_y14", 28), ("p28_x14_y14", 28), ("p56_x28_y28", 56)):
        assert load_network(checkout / "data" / "region_networks" / "three" / name).spec.input_px == side
    metrics = json.loads((checkout / "data" / "train_region" / "three" / "metrics.json").read_text())
    assert (metrics["num_images"], metrics["num_steps"]) == (12, 3)
    assert {"loss.p28_x0_y14", "loss.p56_x28_y28", "val_auc", "val_auc.p56_x28_y28"} <= set(metrics)
    unknown = train(1, "three", group="nobody")
    assert unknown.returncode != 0
    assert "An unknown group of regions" in unknown.stderr


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_saves_and_exits_with_0(checkout: Path, repository: Path) -> None:
    train_for(500, checkout)
    write_machine(checkout / "machine.yaml", processes=1)
    words = command("train", *FACES)
    process = subprocess.Popen(words, cwd=checkout, env=environment(repository), stderr=subprocess.PIPE, text=True)
    resume = checkout / ".resume" / "networks" / "iresnet" / "checkpoint.safetensors"
    wait_for(resume, process)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    assert "run it again to go on from there" in errors
    assert resume.exists()
    assert not (checkout / "data" / "networks").exists()


@pytest.mark.slow
def test_published_weights_are_imported_without_data(checkout: Path, repository: Path) -> None:
    published = build_network(Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8), seed=77)
    options = ["--network", "imported", "--aligned", "nowhere", "--occluded", "nowhere", "--pairs", "nowhere"]
    options += ["--teachers", "nowhere", "--out", "data/networks/imported", "--record", "data/train/imported"]
    torch.save(published.state_dict(), checkout / "published.pth")
    done = run(command("train", *options), checkout, repository)
    assert done.returncode == 0, done.stderr
    state = load_network(checkout / "data" / "networks" / "imported").state_dict()
    assert all(torch.equal(value, state[name]) for name, value in published.state_dict().items())
    metrics = json.loads((checkout / "data" / "train" / "imported" / "metrics.json").read_text())
    assert (metrics["trained"], metrics["epochs"], metrics["arch"]) == (False, 0, "iresnet")
    assert metrics["num_steps"] == 0


@pytest.mark.slow
def test_two_nodes_train_what_one_process_does(checkout: Path, repository: Path) -> None:
    """The same command on each, with a machine.yaml of its own; they meet on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{probe.getsockname()[1]}"
    nodes = []
    for rank in range(2):
        machine = checkout / f"node{rank}.yaml"
        write_machine(machine, processes=1, nodes={"count": 2, "rank": rank, "endpoint": endpoint})
        options = {"cwd": checkout, "env": environment(repository, machine), "stderr": subprocess.PIPE, "text": True}
        nodes.append(subprocess.Popen(command("train", *FACES), **options))
    for node in nodes:
        errors = node.communicate(timeout=300)[1]
        assert node.returncode == 0, errors
    together = json.loads((checkout / "data" / "train" / "iresnet" / "metrics.json").read_text())
    write_machine(checkout / "machine.yaml", processes=1)
    done = run(command("train", *FACES), checkout, repository)
    assert done.returncode == 0, done.stderr
    alone = json.loads((checkout / "data" / "train" / "iresnet" / "metrics.json").read_text())
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-3)  # six steps of float32 sums in another order
    assert together["num_steps"] == alone["num_steps"] == 6  # twice 13 pictures in whole batches of 4
