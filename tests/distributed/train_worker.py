"""A tiny training on drawn pictures, in one process or as every rank of a world; tests compare what it writes."""

import argparse
import json
import logging
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.world import process_group, sum_over_ranks
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.heads.shared.settings import head_settings
from pipeline_lib.networks.over import face_vit, fusion
from pipeline_lib.networks.over.face_vit import FaceViT
from pipeline_lib.networks.training.augment import Square
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.loop import train_networks
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.networks import Head, Patches
from pipeline_lib.params.train import Train

SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
SPECS = {
    "plain": iresnet.Spec(**SMALL),
    "pairs": iresnet.Spec(**SMALL),
    "fusion": iresnet.Spec(**SMALL),
    "iresnet": iresnet.Spec(**SMALL),
    "rrfnet": iresnet.Spec(**SMALL, patches=Patches(side_px=56, layout="cross5", mask_share=0.4)),
}
NUM_IMAGES, NUM_IDENTITIES = 25, 4  # of which batches of four or six leave one out
FORKED = multiprocessing.get_context("fork")  # ends without taking the whole of PyTorch down, which takes a second
RANK_TIMEOUT_S = 180  # a rank that hangs is ended by the system
OF_THE_MACHINE = ("images_per_s", "data_wait_share", "peak_memory_bytes")  # figures that no two runs share


class PlainNetwork(FaceNetwork):
    """Pooled pixels through one linear layer: no batch normalisation, so no rank sees anything of another's share."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.grid = np.zeros((1, 4), np.int64)
        self.linear = nn.Linear(3 * 7 * 7, spec.embedding_dim)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork."""
        embedding = self.linear(nn.functional.avg_pool2d(images, 16).flatten(1))
        return embedding, embedding[:, None]


class MemoryReader:
    """PNGs in a list."""

    def __init__(self, pictures: list[bytes]) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def read_many(self, rows: list[int]) -> list[bytes]:
        """The PNGs of pictures."""
        return [self.pictures[row] for row in rows]

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"picture{i}.png"


def drawn_faces() -> TrainingSet:
    """Blurred noise, another pattern for each identity and a little of its own for each picture."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(0, 255, (NUM_IDENTITIES, 7, 7, 3))
    pictures = []
    for i in range(NUM_IMAGES):
        small = np.clip(patterns[i % NUM_IDENTITIES] + rng.normal(0, 40, (7, 7, 3)), 0, 255).astype(np.uint8)
        pictures.append(cv2.imencode(".png", cv2.resize(small, (112, 112)))[1].tobytes())
    members = np.array([[(0, i)] for i in range(NUM_IMAGES)], dtype=np.int64)
    labels = np.arange(NUM_IMAGES, dtype=np.int64) % NUM_IDENTITIES
    return TrainingSet(
        [MemoryReader(pictures)], members, labels, tuple("abcd"), 112, (Square(112, 0, 0),), None, "drawn"
    )


def parse(options: list[str]) -> argparse.Namespace:
    """The options; --folders takes one for all ranks, or one a rank."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folders", type=Path, nargs="+", required=True)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--network", choices=list(SPECS), required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=6)
    parser.add_argument("--head", default="arcface")
    parser.add_argument("--partial-fc", type=float)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--ema", type=float)
    parser.add_argument("--validate-every", type=int)
    parser.add_argument("--checkpoint-every", type=int, default=1000)
    parser.add_argument("--log-every", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--signal", choices=["SIGKILL", "SIGTERM", "SIGINT"])
    parser.add_argument("--signal-step", type=int, default=0)
    parser.add_argument("--signal-rank", type=int, default=0)
    parser.add_argument("--blow-up-on-rank", type=int, default=-1)
    return parser.parse_args(options)


def run(args: argparse.Namespace, folder: Path) -> None:
    """Train and write result<rank>.safetensors and history.json into `folder`; exits with 3 on a PipelineError."""
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    train = Train(
        batch_size=args.batch_size,
        micro_batch_size=args.micro_batch,
        learning_rate=args.learning_rate,
        momentum=0.9,
        weight_decay=5e-4,
        clip_norm=5.0,
        warmup_epochs=1,
        partial_fc_rate=args.partial_fc,
        shift_px=5,
        use_occluded=False,
        ema_decay=args.ema,
        validate_every_epochs=args.validate_every,
        compile=False,
        seed=args.seed,
    )
    head = head_settings(Head(kind=args.head, scale=8.0, margin=0.2), "--head")
    machine = Machine(checkpoint_every_steps=args.checkpoint_every, log_every_steps=args.log_every)
    spec = SPECS[args.network]
    if args.network in ("plain", "pairs", "fusion"):
        torch.manual_seed(train.seed)
        network: FaceNetwork = PlainNetwork(spec)
        if args.network == "pairs":
            above = face_vit.Settings(over=("below",), depth=1, heads=2, dim=8, head_dim=4, embedding_dim=8)
            network = build_over(above, {"below": network}, train.seed)
        if args.network == "fusion":
            fused = fusion.Settings(over=("below", "beside"), beta=0.1, heads=2, dim=8, head_dim=4, embedding_dim=8)
            network = build_over(fused, {"below": network, "beside": PlainNetwork(spec)}, train.seed)
    else:
        network = build_network(spec, train.seed)
    num_forwards = 0  # in training

    with process_group() as world:
        trainee = new_trainee(network, head, train, NUM_IDENTITIES)

        def after_forward(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            nonlocal num_forwards
            num_forwards += module.training
            if args.signal and num_forwards == args.signal_step and world.rank == args.signal_rank:
                os.kill(os.getpid(), getattr(signal, args.signal))
            return output * float("nan") if world.rank == args.blow_up_on_rank and num_forwards == 3 else output

        hooked: nn.Module = network
        if isinstance(network, FaceViT):
            hooked = network.encoder.layers
        elif isinstance(network, fusion.Fusion):
            hooked = network.norm
        hooked.register_forward_hook(after_forward)

        def validate(networks: Mapping[str, FaceNetwork]) -> dict[str, float]:
            """A figure that any change of weights or running statistics changes."""
            assert not networks["it"].training
            faces = drawn_faces().load(np.arange(world.rank, 8, world.size), 0, 0, 0)[0]
            with torch.no_grad():
                images = torch.from_numpy(faces).to(world.device).permute(0, 3, 1, 2).float() / 127.5 - 1
                size = networks["it"](images).abs().sum()
            return {"val_size": sum_over_ranks(size.double()).item()}

        logged: list[int] = []
        try:
            history = train_networks(
                {"it": trainee},
                drawn_faces(),
                train,
                args.epochs,
                machine,
                world,
                folder / "resume",
                lambda row, step: logged.append(step),
                validate,
            )
        except PipelineError as error:
            print(f"PipelineError: {error}", flush=True)
            sys.exit(3)
        weights = {
            **network.state_dict(),
            **{f"head.{name}": value for name, value in trainee.head.state_dict().items()},
        }
        save_file(
            {name: value.contiguous() for name, value in weights.items()}, folder / f"result{world.rank}.safetensors"
        )
        rows = [{name: value for name, value in row.items() if name not in OF_THE_MACHINE} for row in history]
        if world.is_main:
            (folder / "history.json").write_text(json.dumps(rows))
            (folder / "logged.json").write_text(json.dumps(logged))
        else:
            assert logged == []


def run_rank(args: argparse.Namespace, rank: int, folder: Path, port: int) -> None:
    """Run one rank, in a process of its own; its output goes to rank<rank>.txt in its folder."""
    signal.alarm(RANK_TIMEOUT_S)
    output = os.open(folder / f"rank{rank}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(args.world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    run(args, folder)


def run_world(args: argparse.Namespace) -> list[int]:
    """Run every rank in a fork of this process; their exit codes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    ranks = []
    for rank in range(args.world):
        folder = args.folders[rank % len(args.folders)]
        folder.mkdir(parents=True, exist_ok=True)
        ranks.append(FORKED.Process(target=run_rank, args=(args, rank, folder, port)))
        ranks[-1].start()
    for process in ranks:
        process.join()
    return [process.exitcode for process in ranks]


def main() -> None:
    """Run the world of this process's arguments; without any, one world after another, of arguments that come as a JSON
    list a line. Each is answered with the ranks' exit codes, a JSON list a line.

    This process pays for the imports once, for all worlds and ranks; it computes nothing itself, so that a fork finds no
    threads.
    """
    if options := sys.argv[1:]:
        print(json.dumps(run_world(parse(options))))
        return
    torch.optim.SGD(nn.Linear(1, 1).parameters())  # the first optimiser imports for seconds
    for line in sys.stdin:
        print(json.dumps(run_world(parse(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
