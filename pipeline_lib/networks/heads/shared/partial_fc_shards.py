"""PartialFC's shards on disk: one file a rank, read back by any number of ranks.

With the training checkpoint of the same step, in this order, a kill at any moment leaves a pair that fits:
`save_shards` on all ranks, the checkpoint (which holds PartialFC's state dict, `step` among it), `remove_other_steps`.
To resume: load the checkpoint, then `load_shards` on all ranks.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from pipeline_lib.core.errors import CheckpointError, PipelineError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.world import sum_over_ranks
from pipeline_lib.networks.heads.shared.collectives import rank_and_size
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC

FORMAT = 1
DESCRIPTION = "shard"  # name of the JSON text among a file's metadata
NAME = re.compile(r"partial_fc-step(?P<step>\d+)-rank(?P<rank>\d+)-of(?P<size>\d+)\.safetensors")
TENSORS = ("weight", "momentum")


@dataclass(frozen=True)
class Shard:
    """A file and the classes [first, last) that it holds."""

    path: Path
    first: int
    last: int


def save_shards(folder: Path, head: PartialFC) -> None:
    """Write this rank's weights and momentum, and return when all ranks have; all must call it, with one folder.

    Shards of the same step from another world size are removed, those of other steps are kept.

    Raises:
        PipelineError: a file could not be written; on all ranks alike.
    """
    rank, size = rank_and_size()
    step = int(head.step)
    description = {
        "format": FORMAT,
        "step": step,
        "num_classes": head.num_classes,
        "first": head.first,
        "last": head.last,
    }
    problem: Exception | None = None
    try:
        with atomic_file(folder / _name(step, rank, size)) as partial:
            tensors = {name: getattr(head, name).detach().cpu().contiguous() for name in TENSORS}
            save_file(tensors, partial, metadata={DESCRIPTION: json.dumps(description)})
    except (OSError, SafetensorError) as error:
        problem = error
    failed = sum_over_ranks(torch.tensor(float(problem is not None), device=head.weight.device))
    if failed:
        got = problem or f"{int(failed)} of {size} ranks failed, not this one"
        raise PipelineError("PartialFC's shards could not be written.", got=got, where=folder) from problem
    if rank == 0:
        for path, (its_step, _, its_size) in _found(folder).items():
            if its_step == step and its_size != size:
                path.unlink()


def remove_other_steps(folder: Path, step: int) -> None:
    """Remove all shards but those of `step`; for one rank to call once the training checkpoint of `step` is written."""
    for path, (its_step, _, _) in _found(folder).items():
        if its_step != step:
            path.unlink()


def load_shards(folder: Path, head: PartialFC) -> None:
    """Read this rank's weights and momentum, at `head.step`, from the shards of any world size; only its rows are read.

    Raises:
        CheckpointError: no shards of this step, one is missing or damaged, they leave a gap, or they are of other classes
            or another dimension; names the files. All ranks look at all files, so they agree.
    """
    shards = _complete_set(folder, int(head.step), head)
    for shard in shards:
        first, last = max(head.first, shard.first), min(head.last, shard.last)
        if first < last:
            with safe_open(shard.path, framework="pt") as file:
                for name in TENSORS:
                    rows = file.get_slice(name)[first - shard.first : last - shard.first]
                    getattr(head, name)[first - head.first : last - head.first] = rows.to(head.weight.device)
    head.pending = None


def _name(step: int, rank: int, size: int) -> str:
    return f"partial_fc-step{step:09d}-rank{rank:05d}-of{size:05d}.safetensors"


def _found(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Step, rank and size of each shard file, from its name."""
    matches = {path: NAME.fullmatch(path.name) for path in sorted(folder.glob("partial_fc-*.safetensors"))}
    return {path: (int(m["step"]), int(m["rank"]), int(m["size"])) for path, m in matches.items() if m}


def _complete_set(folder: Path, step: int, head: PartialFC) -> list[Shard]:
    """The checked shards of `step`, of a world size of which all are there, in order of classes."""
    found = _found(folder)
    sizes = sorted({its_size for its_step, _, its_size in found.values() if its_step == step})
    if not sizes:
        steps = ", ".join(map(str, sorted({its_step for its_step, _, _ in found.values()}))) or "none"
        raise CheckpointError(
            "There are no PartialFC shards of the checkpoint's step.",
            got=f"shards of steps {steps}",
            allowed=f"step {step}",
            where=folder,
        )
    names = {size: [_name(step, rank, size) for rank in range(size)] for size in sizes}
    missing = {size: [name for name in names[size] if not (folder / name).exists()] for size in sizes}
    size = min(sizes, key=lambda size: (len(missing[size]), size))
    if missing[size]:
        raise CheckpointError(
            "Shards of PartialFC are missing; copy the folder whole.",
            got=f"without {', '.join(missing[size])}",
            allowed=f"all {size} of step {step}",
            where=folder,
        )
    shards = sorted((_checked(folder / name, step, head) for name in names[size]), key=lambda shard: shard.first)
    ends = [0, *[shard.last for shard in shards]]
    starts = [*[shard.first for shard in shards], head.num_classes]
    if starts != ends:
        held = ", ".join(f"{shard.path.name}: {shard.first} to {shard.last - 1}" for shard in shards)
        raise CheckpointError(
            "PartialFC's shards do not join to all classes.",
            got=held,
            allowed=f"0 to {head.num_classes - 1} without gap or overlap",
            where=folder,
        )
    return shards


def _checked(path: Path, step: int, head: PartialFC) -> Shard:
    try:
        with safe_open(path, framework="pt") as file:
            described = json.loads((file.metadata() or {}).get(DESCRIPTION, "{}"))
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in TENSORS}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError("A PartialFC shard is unreadable or truncated.", got=error, where=path) from error
    got = {key: described.get(key) for key in ("format", "step", "num_classes")}
    allowed = {"format": FORMAT, "step": step, "num_classes": head.num_classes}
    if got != allowed:
        raise CheckpointError("A PartialFC shard is of another training.", got=got, allowed=allowed, where=path)
    first, last = described["first"], described["last"]
    wanted = dict.fromkeys(TENSORS, (last - first, head.weight.shape[1]))
    if shapes != wanted:
        raise CheckpointError("A PartialFC shard has other shapes.", got=shapes, allowed=wanted, where=path)
    return Shard(path, first, last)
