"""A rank that meets the others, computes with them, and writes what all processes of their launcher listen on."""

import json
import sys
from pathlib import Path

import psutil
import torch

from pipeline_lib.core.world import process_group, sum_over_ranks


def main(out: Path) -> None:
    with process_group() as world:
        total = int(sum_over_ranks(torch.ones(1)))
        if world.is_main:
            launcher = psutil.Process().parent()
            processes = [launcher, *launcher.children(recursive=True)]
            connections = [one for process in processes for one in process.net_connections()]
            addresses = [one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN]
            out.write_text(json.dumps({"total": total, "processes": len(processes), "addresses": addresses}))
        sum_over_ranks(torch.ones(1))  # nobody leaves before that is written


if __name__ == "__main__":
    main(Path(sys.argv[1]))
