"""A DVC pipeline of a few shell commands, for testing flows without training anything."""

import subprocess
import sys
from pathlib import Path

DVC_YAML = """
stages:
  first:
    cmd: echo hello > first.txt
    params: [greeting]
    outs: [first.txt]
  left:
    cmd: sleep ${pause_s} && cat first.txt > left.txt
    deps: [first.txt]
    outs: [left.txt]
  right:
    cmd: sleep ${pause_s} && cat first.txt > right.txt
    deps: [first.txt]
    outs: [right.txt]
  last:
    cmd: cp numbers.json metrics.json && test -f left.txt && test -f right.txt
    deps: [left.txt, right.txt, numbers.json]
    metrics: [metrics.json]
"""

# In this order (the longest way to the end first) `second` and `third` come before `short`.
LONG_AND_SHORT_YAML = """
stages:
  slow:
    cmd: sleep ${pause_s} && echo 1 > slow.txt
    outs: [slow.txt]
  second:
    cmd: cat slow.txt > second.txt
    deps: [slow.txt]
    outs: [second.txt]
  third:
    cmd: cat second.txt > third.txt
    deps: [second.txt]
    outs: [third.txt]
  short:
    cmd: printenv OMP_NUM_THREADS > short.txt
    outs: [short.txt]
  last:
    cmd: cat third.txt short.txt > last.txt
    deps: [third.txt, short.txt]
    outs: [last.txt]
"""


def make_tiny_pipeline(folder: Path, pause_s: float = 0.0, dvc_yaml: str = DVC_YAML) -> Path:
    """A git and DVC repository in `folder`: first -> left, right -> last, or another dvc.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dvc.yaml").write_text(dvc_yaml)
    (folder / "params.yaml").write_text(f"greeting: hello\npause_s: {pause_s}\n")
    (folder / "numbers.json").write_text('{"lfw": {"accuracy": 0.5}}')
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder
