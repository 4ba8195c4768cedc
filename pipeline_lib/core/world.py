"""The world a process lives in: its rank, how many there are, and the device; the only reader of RANK and its kin."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import TCPStore  # type: ignore[attr-defined]


@dataclass(frozen=True)
class World:
    """rank in [0, size), local_rank among this machine's processes, and the device this process computes on."""

    rank: int
    local_rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True on rank 0, the only one that writes files and logs metrics."""
        return self.rank == 0


def current_world() -> World:
    """Read the variables torchrun sets; without them, a world of one."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    return World(rank, local_rank, size, device)


@contextmanager
def process_group(timeout_s: float = 60.0) -> Iterator[World]:
    """Join the process group of the ranks that core.launch (or torchrun) started, and leave it at the end: nccl on GPUs,
    gloo on CPUs.

    A world of one started without torchrun joins none. A rank that waits longer than `timeout_s` for the others raises.
    """
    world = current_world()
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
    if "RANK" not in os.environ:
        yield world
        return
    backend = "nccl" if world.device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_s)
    store = _meeting_place(world, timeout)
    dist.init_process_group(backend, store=store, rank=world.rank, world_size=world.size, timeout=timeout)
    try:
        yield world
    finally:
        dist.destroy_process_group()


def _meeting_place(world: World, timeout: timedelta) -> TCPStore:
    """The store through which the ranks meet, at MASTER_ADDR and MASTER_PORT.

    Torchrun's agent keeps it, or says that rank 0 is to. PyTorch would have rank 0 listen on every interface; here it does
    on MASTER_ADDR alone, which is loopback on one machine.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    if world.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        listener = socket.create_server((host, port)).detach()
        return TCPStore(host, port, world.size, is_master=True, timeout=timeout, master_listen_fd=listener)
    return TCPStore(host, port, world.size, is_master=False, timeout=timeout)


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sum of every rank's `values`, any shape, the same bits on all ranks; a copy where there is no process group.

    It has no gradient. All ranks must call it with the same shape and dtype.
    """
    total = values.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(total)
    return total


def roll_call(world: World, wait_s: float) -> list[int]:
    """Which ranks are gone: those that do not call this within `wait_s` of this one; rank 0 if nobody can be asked.

    It asks the store through which the ranks met, not the process group, which may be broken.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    deadline = time.monotonic() + wait_s
    missing = list(range(world.size))
    try:
        store = TCPStore(host, port, is_master=False, timeout=timedelta(seconds=wait_s))
        store.set(f"present/{world.rank}", "")
        while missing and time.monotonic() < deadline:
            missing = [rank for rank in missing if not store.check([f"present/{rank}"])]
            time.sleep(0.1)
    except RuntimeError:  # torch.distributed's errors: the store went down with rank 0, which kept it
        return [0] if 0 in missing else missing  # having answered, it is only done sooner than this rank
    return missing
