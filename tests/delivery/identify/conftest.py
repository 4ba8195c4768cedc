"""What the tests of identify share."""

from pathlib import Path

import pytest
from rendered import Detected, opened, photographs

from pipeline_lib.delivery.identify.model import Opened


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def pictures() -> list[list[bytes]]:
    return photographs(3, 2)


@pytest.fixture
def detected(monkeypatch: pytest.MonkeyPatch) -> Detected:
    return Detected(monkeypatch)


@pytest.fixture
def gallery(tmp_path: Path, pictures: list[list[bytes]]) -> Path:
    """gallery/: Ann and Bob have a folder, Cyd a loose photograph; ann.png beside it is Ann's other one."""
    root = tmp_path / "gallery"
    for name, (first, _) in zip(("Ann", "Bob"), pictures, strict=False):
        (root / name).mkdir(parents=True)
        (root / name / "1.png").write_bytes(first)
    (root / "Cyd.png").write_bytes(pictures[2][0])
    (tmp_path / "ann.png").write_bytes(pictures[0][1])
    return root
