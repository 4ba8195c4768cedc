"""PartialFC's shards in a folder: errors by name, stale files; tests/distributed changes the world between save and load."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from pipeline_lib.core.errors import CheckpointError, PipelineError
from pipeline_lib.networks.heads import arcface
from pipeline_lib.networks.heads.shared import class_sample, partial_fc, partial_fc_shards
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.heads.shared.partial_fc_shards import load_shards, remove_other_steps, save_shards

ARCFACE = arcface.Settings(scale=8.0, margin=0.3)


def head_at(step: int, num_classes: int = 10, dim: int = 4) -> PartialFC:
    """A head of this process's rank with weights and momentum that name class and step."""
    head = PartialFC(ARCFACE, dim, num_classes, 0.5)
    head.step.fill_(step)
    classes = torch.arange(head.first, head.last, dtype=torch.float32)[:, None]
    head.weight = (classes + step).expand(-1, dim).contiguous()
    head.momentum = -head.weight
    return head


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    """Let the code believe it is one of several ranks; nothing here talks to the others."""
    for module in (class_sample, partial_fc, partial_fc_shards):
        monkeypatch.setattr(module, "rank_and_size", lambda: (rank, size))


def save_world(monkeypatch: pytest.MonkeyPatch, folder: Path, step: int, size: int) -> None:
    """The shards that a world of `size` writes, the last rank first."""
    for rank in reversed(range(size)):
        as_rank(monkeypatch, rank, size)
        save_shards(folder, head_at(step))
    as_rank(monkeypatch, 0, 1)


def edit(path: Path, **changes: object) -> None:
    """Change the description in a shard."""
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["shard"])
    save_file(load_file(path), path, metadata={"shard": json.dumps({**described, **changes})})


def shard(folder: Path, rank: int) -> Path:
    return folder / f"partial_fc-step000000007-rank{rank:05d}-of00003.safetensors"


@pytest.mark.parametrize("saved", [1, 2, 3, 10])
@pytest.mark.parametrize("loaded", [1, 3, 4])
def test_any_world_reads_any_world(saved: int, loaded: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_world(monkeypatch, tmp_path, 7, saved)
    for rank in range(loaded):
        as_rank(monkeypatch, rank, loaded)
        expected, head = head_at(7), PartialFC(ARCFACE, 4, 10, 0.5)
        head.step.fill_(7)
        load_shards(tmp_path, head)
        assert torch.equal(head.weight, expected.weight)
        assert torch.equal(head.momentum, expected.momentum)


def test_only_the_needed_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_world(monkeypatch, tmp_path, 7, 3)
    opened: list[str] = []

    def watched(path: Path, framework: str) -> object:
        opened.append(path.name)
        return safe_open(path, framework=framework)

    monkeypatch.setattr(partial_fc_shards, "safe_open", watched)
    as_rank(monkeypatch, 0, 4)  # classes 0 and 1, in the first of the three files
    head = head_at(7)
    load_shards(tmp_path, head)
    names = [shard(tmp_path, rank).name for rank in range(3)]
    assert sorted(opened) == sorted([*names, names[0]])  # every description, and one file's rows


def test_shards_of_other_sizes_and_steps_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_world(monkeypatch, tmp_path, 5, 2)
    save_world(monkeypatch, tmp_path, 7, 2)
    save_world(monkeypatch, tmp_path, 7, 3)
    assert len(list(tmp_path.iterdir())) == 2 + 3  # of step 7 those of the world of two are gone
    (tmp_path / "partial_fc-step000000007-rank00000-of00009.safetensors").write_bytes(b"of a run that was killed")
    head = head_at(5)
    load_shards(tmp_path, head)
    assert torch.equal(head.weight, head_at(5).weight)
    head.step.fill_(7)
    load_shards(tmp_path, head)
    assert torch.equal(head.weight, head_at(7).weight)
    remove_other_steps(tmp_path, 7)
    with pytest.raises(CheckpointError, match=r"no PartialFC shards(.|\n)*steps 7(.|\n)*step 5"):
        load_shards(tmp_path, head_at(5))


def test_a_gradient_of_before_is_forgotten(tmp_path: Path) -> None:
    head = head_at(7)
    save_shards(tmp_path, head)
    head(torch.randn(2, 4), torch.tensor([0, 1])).backward()
    load_shards(tmp_path, head)
    assert head.pending is None


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no PartialFC shards(.|\n)*steps none(.|\n)*step 7"):
        load_shards(tmp_path, head_at(7))


def test_missing_shards_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_world(monkeypatch, tmp_path, 7, 3)
    shard(tmp_path, 1).unlink()
    shard(tmp_path, 2).unlink()
    pattern = (
        f"missing(.|\n)*{shard(tmp_path, 1).name}, {shard(tmp_path, 2).name}(.|\n)*all 3 of step 7(.|\n)*{tmp_path}"
    )
    with pytest.raises(CheckpointError, match=pattern):
        load_shards(tmp_path, head_at(7))


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_shard_is_named(kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_world(monkeypatch, tmp_path, 7, 3)
    path = shard(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:kept])
    as_rank(monkeypatch, 0, 3)  # which needs no row of it
    with pytest.raises(CheckpointError, match=f"truncated(.|\n)*{path.name}"):
        load_shards(tmp_path, head_at(7))


def test_a_safetensors_file_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_world(monkeypatch, tmp_path, 7, 3)
    save_file({"weight": torch.zeros(2)}, shard(tmp_path, 0))
    with pytest.raises(CheckpointError, match=shard(tmp_path, 0).name):
        load_shards(tmp_path, head_at(7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 11}, "another training(.|\n)*'num_classes': 11(.|\n)*'num_classes': 10"),
        ({"step": 6}, "another training(.|\n)*'step': 6"),
        ({"format": 2}, "another training(.|\n)*'format': 2"),
        ({"first": 4}, "other shapes"),
        ({"first": 4, "last": 7}, "do not join(.|\n)*rank00001-of00003.safetensors: 4 to 6(.|\n)*0 to 9"),
        ({"first": 2, "last": 5}, "do not join"),
    ],
)
def test_shards_that_do_not_fit(
    changes: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_world(monkeypatch, tmp_path, 7, 3)  # rank 1 holds classes 3 to 5
    edit(shard(tmp_path, 1), **changes)
    with pytest.raises(CheckpointError, match=message):
        load_shards(tmp_path, head_at(7))


def test_another_class_count_or_dimension(tmp_path: Path) -> None:
    save_shards(tmp_path, head_at(7))
    with pytest.raises(CheckpointError, match=r"'num_classes': 10(.|\n)*'num_classes': 12"):
        load_shards(tmp_path, head_at(7, num_classes=12))
    with pytest.raises(CheckpointError, match=r"other shapes(.|\n)*\(10, 4\)(.|\n)*\(10, 5\)"):
        load_shards(tmp_path, head_at(7, dim=5))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match="could not be written"):
        save_shards(tmp_path / "file", head_at(7))
