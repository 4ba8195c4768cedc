"""A command's ranks: torchrun starts the module again, once for each process of this machine."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOPBACK, LOOPBACK_INTERFACE = "127.0.0.1", "lo"
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Ranks:
    """The processes that compute one thing together.

    Args:
        per_node: of each machine.
        num_threads: each process's, OMP_NUM_THREADS.
        num_nodes: machines; the same command runs on each.
        node: this one's number, 0 to num_nodes - 1.
        endpoint: host:port of machine 0, at which they meet; not used by one machine.
    """

    per_node: int
    num_threads: int
    num_nodes: int = 1
    node: int = 0
    endpoint: str = ""

    @property
    def size(self) -> int:
        """Processes of all machines together."""
        return self.per_node * self.num_nodes


def is_rank() -> bool:
    """Whether this process has been started as a rank."""
    return "RANK" in os.environ


def run_ranks(module: str, arguments: Sequence[str], ranks: Ranks) -> int:
    """Run `python -m module arguments` as this machine's ranks, and wait for them.

    On one machine nothing listens beyond loopback: the ranks' agents meet in a file, and rank 0 keeps their store on
    127.0.0.1 (core.world). On several, machine 0's agent listens at the port of `endpoint`, on every interface.

    SIGTERM and SIGINT are passed on to the ranks, not to torchrun, which would end them after 30 s and fail: ranks that save
    their state and exit with 0 make this return 0. If this process is killed, torchrun and the ranks are told to stop.

    Args:
        module: dotted.
        arguments: of its command line.
        ranks: how many, and where.

    Returns:
        0 if every rank of this machine exited with 0, else torchrun's exit code.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ranks-")))
        command = [sys.executable, "-m", "torch.distributed.run", *_options(ranks, folder), "-m", module, *arguments]
        torchrun = subprocess.Popen(
            command,
            env={**os.environ, **_environment(ranks)},
            start_new_session=True,  # or a terminal's Ctrl-C would reach torchrun beside the ranks
            preexec_fn=_stop_with_parent,
        )

        def pass_on(number: int, frame: FrameType | None) -> None:
            _signal_ranks(torchrun.pid, signal.Signals(number))

        before = {number: signal.signal(number, pass_on) for number in SIGNALS}
        try:
            return torchrun.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _options(ranks: Ranks, folder: Path) -> list[str]:
    """Torchrun's."""
    options = [f"--nproc-per-node={ranks.per_node}"]
    if ranks.num_nodes == 1:
        meeting = ["--rdzv-backend=c10d", "--rdzv-conf=store_type=file", f"--rdzv-endpoint={folder / 'meeting'}"]
        return [*options, *meeting, f"--local-addr={LOOPBACK}"]
    host, _, port = ranks.endpoint.rpartition(":")
    meeting = [f"--master-addr={host}", f"--master-port={port}"]
    return [*options, f"--nnodes={ranks.num_nodes}", f"--node-rank={ranks.node}", *meeting]


def _environment(ranks: Ranks) -> dict[str, str]:
    """What the ranks find set beside what this process does."""
    variables = {"OMP_NUM_THREADS": str(ranks.num_threads)}
    if ranks.num_nodes == 1:
        variables["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # the agent's store would listen on every interface
    if ranks.num_nodes == 1 or ranks.endpoint.startswith(f"{LOOPBACK}:"):
        variables |= dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), LOOPBACK_INTERFACE)
    return variables


def _signal_ranks(torchrun: int, number: signal.Signals) -> None:
    """Send a signal to torchrun's children, the ranks; to itself while it has none."""
    import psutil

    try:
        agent = psutil.Process(torchrun)
        for process in agent.children() or [agent]:
            process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it has ended already


def _stop_with_parent() -> None:
    """In torchrun, before it starts: take SIGTERM when the parent dies, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
