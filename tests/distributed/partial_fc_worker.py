"""Heads as every rank of a world trains them on shares of fixed batches; tests compare what each rank writes."""

import argparse
import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.world import World, process_group, sum_over_ranks
from pipeline_lib.networks.heads import adaface, arcface, cosface, curricularface, elasticface_arc
from pipeline_lib.networks.heads.shared import class_weights
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.heads.shared.partial_fc_shards import load_shards, save_shards

NUM_CLASSES, DIM, INPUTS, BATCH, NUM_STEPS, MICRO_BATCHES = 11, 5, 7, 12, 3, 2
FORKED = multiprocessing.get_context("fork")  # ends without taking the whole of PyTorch down, which takes a second
RATE = 0.4  # of the sampled run
SETTINGS = {
    "arcface": arcface.Settings(scale=8.0, margin=0.3),
    "cosface": cosface.Settings(scale=8.0, margin=0.3),
    "adaface": adaface.Settings(scale=8.0, margin=0.3, t_alpha=0.5),
    "curricularface": curricularface.Settings(scale=8.0, margin=0.3, t_alpha=0.5),
    "elasticface_arc": elasticface_arc.Settings(scale=8.0, margin=0.3),
}


class Backbone(nn.Module):
    """One linear layer, which no rank sees another share through."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(INPUTS, DIM)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,INPUTS) to (B,DIM)."""
        embeddings: Tensor = 5 * self.linear(inputs)
        return embeddings


def global_batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, labels and noise of a step; the same labels lie in different shares."""
    generator = torch.Generator().manual_seed(100 + step)
    return (
        torch.randn(BATCH, INPUTS, generator=generator),
        torch.randint(NUM_CLASSES, (BATCH,), generator=generator),
        torch.randn(BATCH, generator=generator),
    )


def shares(step: int, rank: int, size: int) -> list[tuple[Tensor, ...]]:
    """This rank's part of each of the step's micro-batches, which are the halves of the global batch."""
    halves = zip(*(value.chunk(MICRO_BATCHES) for value in global_batch(step)), strict=True)
    return [tuple(value.chunk(size)[rank] for value in half) for half in halves]


def train_partial_fc(kind: str, rate: float, world: World) -> tuple[PartialFC, dict[str, Tensor]]:
    """NUM_STEPS of backbone and PartialFC; losses, the backbone's gradients, sampled rows, the shard at the end."""
    head = PartialFC(SETTINGS[kind], DIM, NUM_CLASSES, rate, seed=3)
    backbone = DistributedDataParallel(Backbone())
    optimiser = torch.optim.SGD(backbone.parameters(), lr=0.01, momentum=0.9)
    found: dict[str, Tensor] = {}
    for step in range(NUM_STEPS):
        optimiser.zero_grad()
        losses = []
        inputs, labels, _ = (torch.cat(values) for values in zip(*shares(step, world.rank, world.size), strict=True))
        head.observe(backbone.module(inputs), labels)
        for inputs, labels, noise in shares(step, world.rank, world.size):
            loss = head(backbone(inputs), labels, noise) / MICRO_BATCHES
            loss.backward()
            losses.append(loss.detach())
        found[f"{step}.losses"] = torch.stack(losses)
        found[f"{step}.backbone"] = backbone.module.linear.weight.grad.clone()
        found[f"{step}.index"], found[f"{step}.gradient"] = head.pending
        optimiser.step()
        head.sgd_step(0.01, 0.9, 5e-4)
    class_weights.ROWS_AT_ONCE = 4  # eleven classes in three blocks, whose ends are not the shards'
    gathered = class_weights.class_weights(head, [str(number) for number in range(NUM_CLASSES)])
    found["classes"] = torch.from_numpy(gathered.weights)
    found |= {"weight": head.weight, "momentum": head.momentum, **head.state_dict()}
    return head, {name: value.clone().contiguous() for name, value in found.items()}


def train_whole_head(kind: str, world: World) -> dict[str, Tensor]:
    """The statistics of a whole head that sees one share of each batch on each rank."""
    head = build_head(SETTINGS[kind], INPUTS, NUM_CLASSES, seed=3)
    for step in range(NUM_STEPS):
        for inputs, labels, _ in shares(step, world.rank, world.size):
            head.observe(20 * inputs, labels)
    return {name: value for name, value in head.state_dict().items() if name != "weight"}


def run(folder: Path, shards: Path, broken_rank: int) -> None:
    """Write <what>-<rank>.safetensors into `folder` and read `shards`; exits with 3 on a PipelineError.

    `broken_rank` is one that cannot save its shard, or -1.
    """
    torch.set_num_threads(1)
    with process_group() as world:

        def write(what: str, tensors: dict[str, Tensor]) -> None:
            save_file(tensors, folder / f"{what}-{world.rank}.safetensors")

        try:
            if broken_rank >= 0:
                where = Path(__file__) if world.rank == broken_rank else folder
                save_shards(where, PartialFC(SETTINGS["arcface"], DIM, NUM_CLASSES, 1.0))
            write("sum", {"total": sum_over_ranks(torch.tensor([1.0, 2.0**world.rank]))})
            for kind in SETTINGS:
                head, found = train_partial_fc(kind, 1.0, world)
                write(f"{kind}", found)
                if kind == "adaface":
                    save_shards(folder / "shards", head)
            for kind in ("adaface", "curricularface"):
                write(f"whole-{kind}", train_whole_head(kind, world))
            write("sampled", train_partial_fc("arcface", RATE, world)[1])
            head = PartialFC(SETTINGS["adaface"], DIM, NUM_CLASSES, 1.0)
            head.step.fill_(NUM_STEPS)
            load_shards(shards, head)
            write("loaded", {"weight": head.weight, "momentum": head.momentum})
        except PipelineError as error:
            print(f"PipelineError: {error}")
            sys.exit(3)


def run_rank(folder: Path, rank: int, size: int, port: int, shards: Path, broken_rank: int) -> None:
    """Run one rank, in a process of its own; its output goes to rank<rank>.txt in the folder."""
    output = os.open(folder / f"rank{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run(folder, shards, broken_rank)


def main() -> None:
    """Run world after world, every rank in a fork of this process, which has paid for the imports once; print a list of
    exit codes for each world as JSON.

    A world of n writes into <folder>/<n>. Each reads the first one's shards.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--worlds", type=int, nargs="+", required=True)
    parser.add_argument("--broken-rank", type=int, default=-1)
    args = parser.parse_args()
    torch.optim.SGD(Backbone().parameters())  # the first optimiser imports for seconds
    codes = []
    for size in args.worlds:
        folder = args.folder / str(size)
        folder.mkdir()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        shards = args.folder / str(args.worlds[0]) / "shards"
        ranks = [
            FORKED.Process(target=run_rank, args=(folder, rank, size, port, shards, args.broken_rank))
            for rank in range(size)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        codes.append([process.exitcode for process in ranks])
    print(json.dumps(codes))


if __name__ == "__main__":
    main()
