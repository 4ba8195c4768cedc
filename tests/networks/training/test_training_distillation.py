"""Distillation: the loss, what the teacher's embeddings become, and a student that is taught without a label."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stage_checkout import TINY, copied_checkout, python, train
from stage_data import write_stage_data
from tiny_training import SPEC, TRAIN, changed, one_process

from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.networks.embeddings.teacher import view_grid, write_mean
from pipeline_lib.networks.heads.arcface import Settings as ArcFaceSettings
from pipeline_lib.networks.heads.distillation import Distillation, Settings
from pipeline_lib.networks.training.augment import drawn_augmentation
from pipeline_lib.networks.training.data import TrainingSet, load_batch
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.loop import train_networks
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.machine import Machine

OBJECTIVE = Settings()
DIM = 8


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def taught(data: Path, images: str | None = None, use_occluded: bool = True, dim: int = DIM) -> TrainingSet:
    """The stage data's training faces, with drawn embeddings of a teacher that saw them (or others, of digest `images`)."""
    write_stage_data(data)
    rng = np.random.default_rng(4)
    keys = [f"i{number}" for number in range(12)]
    views = rng.normal(size=(12, 2, dim)).astype(np.float32) + 3
    labels = (keys, keys, ["nobody"] * 12, ["train"] * 12, [None] * 12, np.zeros((12, 0), np.float32))
    folder = data / "teachers" / "seer"
    folder.mkdir(parents=True)
    write_embeddings(folder, EmbeddingSet(*labels, views, keys, view_grid()))
    write_mean(folder, images or training_faces(data / "align", None).digest)
    return training_faces(data / "align", data / "occlude" if use_occluded else None, teacher=folder)


def learn(data: TrainingSet, folder: Path, epochs: int = 2, **settings: Any) -> list[dict[str, float]]:
    machine = Machine(log_every_steps=1, checkpoint_every_steps=2)
    wanted = changed(TRAIN, seed=3, learning_rate=0.05, **settings)
    spec = changed(SPEC, input_px=112)
    trainees = {"it": new_trainee(build_network(spec, 3), OBJECTIVE, wanted, len(data.classes))}
    return train_networks(trainees, data, wanted, epochs, machine, one_process(), folder, lambda figures, step: None)


@pytest.mark.parametrize("relations", [0.0, 2.0])
def test_the_loss_is_that_of_the_formula(relations: float) -> None:
    rng = np.random.default_rng(1)
    embeddings, targets = rng.normal(size=(5, DIM)), unit(rng.normal(size=(5, DIM)))
    own = unit(embeddings)
    wanted = np.mean(1 - (own * targets).sum(axis=1))
    for i in range(5):
        for j in range(5):
            wanted += relations * (own[i] @ own[j] - targets[i] @ targets[j]) ** 2 / 25
    loss = Distillation(Settings(relations=relations))
    given = torch.tensor(embeddings, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)
    assert loss(*given).item() == pytest.approx(wanted, rel=1e-5)
    assert loss(7 * given[1], given[1]).item() == pytest.approx(0, abs=1e-6)


def test_a_sample_is_held_against_the_centred_embedding_of_the_view_that_is_shown(tmp_path: Path) -> None:
    data = taught(tmp_path)
    stored = np.random.default_rng(4).normal(size=(12, 2, DIM)).astype(np.float32) + 3
    centred = stored - stored.mean(axis=(0, 1))
    samples = np.array([12, 3, 0, 7, 8, 9])  # 12 is the occluded version of image 0
    seen = set()
    for epoch in range(4):
        batch = load_batch(data, samples, 2, seed=3, epoch=epoch, draw=lambda rng: None, needs_noise=False)
        mirrored = drawn_augmentation(samples, 2, 3, epoch)[0].tolist()
        rows = [0, 3, 0, 7, 8, 9]
        np.testing.assert_allclose(batch.labels, unit(centred[rows, mirrored]), rtol=1e-4, atol=1e-6)
        assert batch.labels.dtype == np.float32
        seen |= set(mirrored)
        image = ShardImages(tmp_path / "align").read([3])[0]
        (squares,) = data.load(samples[1:2], 0, seed=3, epoch=epoch)
        (turned,) = drawn_augmentation(samples[1:2], 0, 3, epoch)[0]
        np.testing.assert_array_equal(squares[0], image[:, ::-1] if turned else image)
    assert seen == {0, 1}


def test_a_student_learns_and_a_stopped_one_goes_on_but_not_with_another_teacher(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = taught(tmp_path / "data")
    history = learn(data, tmp_path / "whole", epochs=16)
    losses = [row["loss"] for row in history]
    assert np.mean(losses[-4:]) < 0.75 * np.mean(losses[:4])
    learn(data, tmp_path / "again", epochs=2)  # its last checkpoint, of step 4 of 6, stays
    with caplog.at_level("INFO", "face_verifier"):
        learn(data, tmp_path / "again", epochs=2)
        assert "training goes on after step 4" in caplog.text
        mean = tmp_path / "data" / "teachers" / "seer" / "mean.json"
        mean.write_text(mean.read_text().replace('"num_images": 12', '"num_images": 11'))
        other = training_faces(tmp_path / "data" / "align", tmp_path / "data" / "occlude", teacher=mean.parent)
        learn(other, tmp_path / "again", epochs=2)
        assert "training starts anew" in caplog.text
        assert "teacher was" in caplog.text


def test_one_identity_is_enough_for_a_teacher_and_too_few_for_labels(tmp_path: Path) -> None:
    data = taught(tmp_path)
    kept = {name: getattr(data, name) for name in TrainingSet.__dataclass_fields__}
    kept |= {"labels": np.zeros(len(data), np.int64), "classes": ("everybody",)}
    assert len(learn(TrainingSet(**kept), tmp_path / "resume", epochs=1)) == 3
    with pytest.raises(DataError, match="at least two identities"):
        TrainingSet(**{**kept, "teacher": None})


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of other images[\s\S]*digest 0123"):
        taught(tmp_path / "other", images="0123")
    with pytest.raises(DataError, match=r"embeddings have another length[\s\S]*16[\s\S]*8, embedding_dim of it"):
        learn(taught(tmp_path / "long", dim=16), tmp_path / "resume")
    data = taught(tmp_path / "data")
    labelled = {"it": new_trainee(build_network(SPEC, 3), ArcFaceSettings(scale=8.0, margin=0.2), TRAIN, 3)}
    with pytest.raises(
        DataError, match=r"does not fit the training set[\s\S]*without classes, since there is a teacher"
    ):
        train_networks(labelled, data, TRAIN, 1, Machine(), one_process(), tmp_path, lambda figures, step: None)
    (tmp_path / "data" / "teachers" / "seer" / "mean.json").unlink()
    with pytest.raises(DataError, match=r"JSON file is missing[\s\S]*seer/mean.json"):
        training_faces(tmp_path / "data" / "align", None, teacher=tmp_path / "data" / "teachers" / "seer")


@pytest.mark.slow
def test_dlib_teaches_an_rrfnet_through_the_stages(tmp_path: Path, repository: Path) -> None:
    """One process and two learn the same, whose score is still the sum over its patches."""
    student = {**TINY, "embedding_dim": 128, "head": {"kind": "distillation"}, "teacher": "dlib", "epochs": 2}
    student["patches"] = {"side_px": 56, "layout": "cross5", "mask_share": 0.2}
    published = {
        "arch": "dlib_resnet",
        "checkpoint": "data/none",
        "teacher": "none",
        "head": {"kind": "none"},
        "epochs": 0,
    }
    networks = {"dlib": published, "student": student}
    checkout = copied_checkout(tmp_path, repository, networks=networks, teachers={"dlib": {}})
    assert (done := train(checkout, "dlib")).returncode == 0, done.stderr
    options = ("--network", "data/networks/dlib", "--aligned", "data/align", "--out", "data/teachers/dlib")
    assert (done := python(checkout, "-m", "stages.embed_teacher", *options)).returncode == 0, done.stderr
    losses = []
    for processes in (1, 2):
        (checkout / "machine.yaml").write_text(json.dumps({"processes": processes, "log_every_steps": 1}))
        assert (done := train(checkout, "student")).returncode == 0, done.stderr
        with (checkout / "data" / "train" / "student" / "history.csv").open() as handle:
            losses.append([float(row["loss"]) for row in csv.DictReader(handle)])
    assert len(losses[0]) == 6
    assert losses[0][:4] == pytest.approx(losses[1][:4], rel=1e-3)  # sums in another order, which later steps enlarge
    network = load_network(checkout / "data" / "networks" / "student").eval()
    face = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(face)
    a, b = patches.double()
    whole = torch.nn.functional.cosine_similarity(*embedding.double(), dim=0)
    terms = a @ b.T / (25 * a.mean(dim=0).norm() * b.mean(dim=0).norm())
    assert terms.sum().item() == pytest.approx(whole.item(), abs=1e-6)
    assert network.taught_by == "dlib"
    metrics = json.loads((checkout / "data" / "train" / "student" / "metrics.json").read_text())
    assert (metrics["teacher"], metrics["head"]["kind"], metrics["num_images"]) == ("dlib", "distillation", 13)
    assert metrics["description"].endswith(", taught by dlib")
