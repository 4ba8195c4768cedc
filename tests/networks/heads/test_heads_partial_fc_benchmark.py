"""The benchmark runs and reports; its figures are for docs, but the memory of a shard is arithmetic."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_quick_run(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.partial_fc", "--quick"],
        cwd=repository,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["local_classes"] == 25_000
    assert report["weight_and_momentum_bytes"] == 2 * 25_000 * 512 * 4
    memory = report["peak_memory_bytes"]
    # the sampled tenth as rows, unit rows, their gradients, velocity: some tenths of a shard beside weights and momentum
    assert 0.9 < memory["partial_fc"] / report["weight_and_momentum_bytes"] < 1.6
    # weight, momentum, gradient, unit weights, and the last one's gradient: at least 4 shards at once
    assert memory["whole_head"] > 1.8 * report["weight_and_momentum_bytes"]
    assert report["rows"][0]["memory ratio"] > 1.3
    assert all(0 < times["min"] <= times["median"] <= times["max"] for times in report["step_s"].values())
