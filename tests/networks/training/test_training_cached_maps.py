"""Maps of frozen networks that are kept while a network over them trains: the same samples, the same training, less work."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_training import HEAD as ARCFACE
from tiny_training import MACHINE, TRAIN, changed, one_process

from pipeline_lib.core.errors import ParamsError, PipelineError
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over
from pipeline_lib.networks.over import face_vit, fusion, hybrid_vit, xcos
from pipeline_lib.networks.over.shared.network import OverNetwork
from pipeline_lib.networks.over.shared.settings import OverSettings
from pipeline_lib.networks.training import cached_maps
from pipeline_lib.networks.training.augment import Square, drawn_augmentation
from pipeline_lib.networks.training.cached_maps import mapped, only_over
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.loop import train_networks
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.networks import NetworkOver

SPEC = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8)
SETTINGS = {
    "fusion": fusion.Settings(over=("a", "b"), beta=1e-3, dim=8, heads=2, head_dim=4, embedding_dim=6),
    "xcos": xcos.Settings(over=("a",), channels=2),
    "face_vit": face_vit.Settings(over=("a",), depth=1, heads=2, dim=8, head_dim=4, embedding_dim=6),
    "hybrid_vit": hybrid_vit.Settings(over=("a",), depth=1, heads=2, dim=8, head_dim=4, embedding_dim=6),
}
NO_SHIFT = changed(TRAIN, shift_px=0)


class Faces:
    """Six drawn faces of two people; counts how often one is read."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        patterns = rng.integers(0, 255, (2, 7, 7, 3))
        small = [(0.6 * patterns[i % 2] + 0.4 * rng.integers(0, 255, (7, 7, 3))).astype(np.uint8) for i in range(6)]
        self.pngs = [cv2.imencode(".png", cv2.resize(each, (112, 112)))[1].tobytes() for each in small]
        self.num_reads = 0

    def __len__(self) -> int:
        return 6

    def read_many(self, rows: list[int]) -> list[bytes]:
        """PNGs."""
        self.num_reads += len(rows)
        return [self.pngs[row] for row in rows]

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"face{i}"


def faces() -> TrainingSet:
    members = np.array([[(0, i)] for i in range(6)], np.int64)
    labels = np.arange(6, dtype=np.int64) % 2
    return TrainingSet([Faces()], members, labels, ("a", "b"), 112, (Square(112, 0, 0),), None, "six")


def over(settings: OverSettings, seed: int = 1) -> OverNetwork:
    made = build_over(settings, {name: build_network(SPEC, i + seed) for i, name in enumerate(settings.over)}, 3)
    assert isinstance(made, OverNetwork)
    return made


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_kind_learns_from_maps_what_it_learns_from_images(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_maps, "BLOCK", 4)  # two files
    losses = []
    for cached in (False, True):
        network, data = over(SETTINGS[kind]), faces()
        if cached:
            data = mapped(data, network, tmp_path, one_process(), 3)
        trainee = {"it": new_trainee(network, ARCFACE, NO_SHIFT, 2)}
        folder = tmp_path / f"resume{cached}"
        history = train_networks(trainee, data, NO_SHIFT, 2, MACHINE, one_process(), folder, lambda row, step: None)
        losses.append([row["loss"] for row in history])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)  # convolutions of another batch sum in another order


def test_rows_are_the_maps_of_the_view_that_was_drawn(tmp_path: Path) -> None:
    network, data = over(SETTINGS["fusion"]), faces()
    found = mapped(data, network, tmp_path, one_process(), 4)
    assert found.blocks[0].dtype == np.float32
    sides = set()
    for sample, mirrored in enumerate(drawn_augmentation(np.arange(6), 0, seed=9, epoch=2)[0].tolist()):
        sides.add(mirrored)
        (row,), (image,) = (one.load(np.array([sample]), 0, 9, 2)[0] for one in (found, data))
        image = torch.from_numpy(image[None].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        with torch.inference_mode():
            wanted = network.packed(image)[0].numpy()
        np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(row, found.blocks[0][sample, mirrored])
    assert sides == {0, 1}


def test_files_are_written_once_go_on_where_they_stopped_and_are_of_these_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached_maps, "BLOCK", 2)

    def reads(network: OverNetwork) -> int:
        data = faces()
        found = mapped(data, network, tmp_path, one_process(), 2)
        assert sum(map(len, found.blocks)) == 6
        [reader] = data.readers
        assert isinstance(reader, Faces)
        return reader.num_reads

    network = over(SETTINGS["fusion"])
    assert (reads(network), reads(network)) == (12, 0)
    [folder] = tmp_path.iterdir()
    (folder / "000001.npy").unlink()
    assert reads(network) == 4
    assert reads(over(SETTINGS["fusion"], seed=7)) == 12  # other frozen weights
    [other] = tmp_path.iterdir()
    assert other != folder


def test_ranks_share_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_maps, "BLOCK", 2)
    second = dataclasses.replace(one_process(), rank=1, size=2)
    with pytest.raises(PipelineError, match="000000"):  # alone, the second rank misses what the first would write
        mapped(faces(), over(SETTINGS["xcos"]), tmp_path, second, 2)
    [folder] = tmp_path.iterdir()
    assert [path.name for path in folder.iterdir()] == ["000001.npy"]


def test_an_entry_with_kept_maps_is_not_shifted_and_stands_on_frozen_networks() -> None:
    entry = NetworkOver(kind="finetuned", over=["a"], epochs=1, head={"kind": "arcface"}, cache_maps=True)
    assert TRAIN.with_own(entry).shift_px == 0
    assert TRAIN.with_own(entry.model_copy(update={"cache_maps": False})).shift_px == 2
    with pytest.raises(ParamsError, match=r"(?s)a finetuned one changes.*networks_over\.x"):
        only_over({"it": build_network(SPEC)}, "networks_over.x")
