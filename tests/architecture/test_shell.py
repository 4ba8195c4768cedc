"""The commands of dvc.yaml, as a shell reads them after DVC has filled them in."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image

ODD = ["my photos", "it's; touch ran #", '$(touch ran) "`touch ran`" \\', "50%20&|<>*?~", "-x ümläut"]


def commands(repository: Path, folder: Path, root: Path) -> dict[str, str]:
    """Each stage's, with the demo's params and this folder of photographs."""
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(repository / name, folder / name)
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["ingest"] |= {"root": str(root), "sources": [{"kind": "image_folder", "path": "", "split": "by_identity"}]}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return {stage.name: stage.cmd for stage in Repo.init(str(folder), no_scm=True).index.stages}


def test_a_shell_finds_words_and_nothing_to_expand(repository: Path, tmp_path: Path) -> None:
    for name, command in commands(repository, tmp_path, Path("data/raw")).items():
        words = shlex.split(command)
        settings = ["ARROW_DEFAULT_MEMORY_POOL=system"] if name == "ingest" else []  # of the process alone
        assert words[: len(settings) + 2] == [*settings, "python", "-m"], name
        assert shlex.join(words) == command.replace("'", ""), name


@pytest.mark.parametrize("name", ODD)
def test_photographs_may_lie_in_any_folder(repository: Path, tmp_path: Path, name: str) -> None:
    root, work = tmp_path / name, tmp_path / "work"
    work.mkdir()
    for person in range(12):
        (root / f"p{person:02d}").mkdir(parents=True)
        for number in range(2):
            pixels = np.full((4, 4, 3), 20 * person + number, np.uint8)
            Image.fromarray(pixels).save(root / f"p{person:02d}" / f"{number}.png")
    before = set(tmp_path.iterdir())
    bin_dir = Path(sys.executable).parent
    environment = {**os.environ, "PYTHONPATH": str(repository), "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{work}/mlflow.db"
    command = commands(repository, work, root)["ingest"]
    done = subprocess.run(["/bin/sh", "-c", command], cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(work / "data/ingest/manifest.parquet").num_rows == 24
    assert set(tmp_path.iterdir()) == before
    assert not (work / "ran").exists()
