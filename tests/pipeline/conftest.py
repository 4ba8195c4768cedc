"""The demo at smoke size, built once a test process."""

import json
from pathlib import Path

import pytest
from checkout import Checkout


@pytest.fixture(scope="session")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `make repro SCALE=smoke`'s command has run.

    Its network is at chance and so no champion; it is promoted by hand, for what a reader asks it all the same.
    """
    checkout = Checkout(repository, tmp_path_factory.mktemp("demo") / "checkout")
    checkout.run("dvc", "exp", "run", "--set-param", "scale=smoke")
    registered = json.loads((checkout.folder / "data/register/registered.json").read_text())
    checkout.run("face-verifier", "promote", str(registered["version"]))
    return checkout


@pytest.fixture(scope="session")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()
