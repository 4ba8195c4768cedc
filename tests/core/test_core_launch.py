"""A command's ranks on one machine: who can reach them."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path


def test_on_one_machine_nothing_listens_beyond_loopback(tmp_path: Path, repository: Path) -> None:
    """Neither torchrun's agent nor a rank, whose store and sockets would by default be on every interface."""
    out = tmp_path / "listening.json"
    code = f"run_ranks('listening_rank', [{str(out)!r}], Ranks(per_node=2, num_threads=1))"
    subprocess.run(
        [sys.executable, "-c", f"from pipeline_lib.core.launch import Ranks, run_ranks; raise SystemExit({code})"],
        env={**os.environ, "PYTHONPATH": f"{repository}:{Path(__file__).parent}"},
        check=True,
        timeout=300,
    )
    found = json.loads(out.read_text())
    assert (found["total"], found["processes"]) == (2, 3)
    assert found["addresses"]  # of rank 0's store, at least
    assert all(ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback for address in found["addresses"])
