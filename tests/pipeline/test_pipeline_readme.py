"""The README's commands are run as they stand there."""

import re
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from checkout import Checkout

MAKE_TARGETS = re.compile(r"^make(?: (?P<target>[a-z]+))?(?P<arguments>(?: [A-Z]+=\S+)*)$")


def commands(text: str) -> list[str]:
    """Every line of the README's ```console and ```bash blocks; a trailing comment is dropped."""
    blocks = re.findall(r"```(?:bash|console)\n(.*?)```", text, flags=re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def put_two_faces(built: Checkout) -> None:
    """Photographs in which one face was found, as the README's a.jpg and b.jpg."""
    aligned = set(pq.read_table(built.folder / "data/align/index.parquet")["image_id"].to_pylist())
    photos = [path for path in sorted((built.folder / "data/ingest/photos").rglob("*.jpg")) if path.stem in aligned]
    for name, photo in (("a.jpg", photos[0]), ("b.jpg", photos[1])):
        (built.folder / name).write_bytes(photo.read_bytes())


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


def test_make_commands_exist(readme: str, repository: Path) -> None:
    """Every `make` line is understood by make and by conf/ (make itself is run by make repro, make test and CI)."""
    made = [line for line in commands(readme) if line.startswith("make")]
    assert {"make repro", "make test", "make ui"} <= set(made)
    for line in made:
        match = MAKE_TARGETS.fullmatch(line)
        assert match, line
        result = subprocess.run([*line.split(), "--dry-run"], cwd=repository, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        for argument in match["arguments"].split():
            name, value = argument.split("=")
            assert (repository / "conf" / name.lower() / f"{value}.yaml").is_file(), line


def test_linked_files_exist(readme: str, repository: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", readme):
        assert (repository / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.xdist_group("demo")
def test_commands_on_the_demo(readme: str, built: Checkout) -> None:
    """Everything else a reader may type after `make repro`, on the smoke-sized demo: exit code 0 each."""
    put_two_faces(built)
    typed = [line for line in commands(readme) if not line.startswith(("make", "git clone", "cd ", "source "))]
    assert any(line.startswith("face-verifier verify") for line in typed)
    for line in typed:
        built.run("bash", "-c", line)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.xdist_group("demo")
def test_python_examples_run(readme: str, built: Checkout) -> None:
    """The ```python blocks, with a.jpg and b.jpg in the working directory."""
    put_two_faces(built)
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        built.run("python", "-c", block)
