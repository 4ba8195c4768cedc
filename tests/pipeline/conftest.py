"""The demo at smoke size, built once a test process."""

from pathlib import Path

import pytest
from checkout import Checkout


@pytest.fixture(scope="session")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `make repro SCALE=smoke`'s command has run."""
    checkout = Checkout(repository, tmp_path_factory.mktemp("demo") / "checkout")
    checkout.run("dvc", "exp", "run", "--set-param", "scale=smoke")
    return checkout


@pytest.fixture(scope="session")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()
