"""A copy of the working tree as a git repository of its own, in which a test may run the real pipeline."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

BIN = Path(sys.executable).parent


class Checkout:
    """A fresh checkout of this working tree, tracked and untracked-not-ignored files alike."""

    def __init__(self, repository: Path, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
            "DVC_NO_ANALYTICS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
            **environment,
        }
        self.environment.pop("MLFLOW_TRACKING_URI", None)
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=repository,
            check=True,
            capture_output=True,
            text=True,
        )
        for name in listed.stdout.splitlines():
            if (repository / name).is_file():  # a file deleted but not yet committed is still listed
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(repository / name, folder / name)
        for command in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-q", "-m", "checkout"]):
            self.run(*command)

    def copy(self, folder: Path) -> "Checkout":
        """The checkout that lies in `folder`, a copy of this one's, whose own code the console command runs."""
        other = copy.copy(self)
        other.folder, other.environment = folder, {**self.environment, "PYTHONPATH": str(folder)}
        return other

    def use_one_process(self) -> None:
        """From now on each stage is one process: no torchrun, no Dask. What comes out does not depend on that."""
        (self.folder / "machine.yaml").write_text("{processes: 1, workers: 0}\n")

    def run(self, *command: str, check: bool = True, timeout_s: float = 1800) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; a failure shows the end of its output."""
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout_s
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"{' '.join(command)} exited with {result.returncode}\n{result.stdout[-4000:]}\n{result.stderr[-8000:]}"
            )
        return result


def put_two_faces(built: Checkout) -> None:
    """Photographs in which one face was found, as the README's a.jpg and b.jpg, and its people/, a folder of both."""
    aligned = set(pq.read_table(built.folder / "data/align/index.parquet")["image_id"].to_pylist())
    photos = [path for path in sorted((built.folder / "data/ingest/photos").rglob("*.jpg")) if path.stem in aligned]
    for name, photo in (("a.jpg", photos[0]), ("b.jpg", photos[1])):
        (built.folder / name).write_bytes(photo.read_bytes())
        (built.folder / "people").mkdir(exist_ok=True)
        (built.folder / "people" / name).write_bytes(photo.read_bytes())
    (built.folder / "pairs.csv").write_text("a,b\na.jpg,b.jpg\n")
