"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def faces_dir() -> Path:
    """The folder of real photographs; .ci/run sets FACES_DIR and fails where the folder is missing."""
    folder = os.environ.get("FACES_DIR")
    if not folder:
        pytest.skip("FACES_DIR is not set")
    assert Path(folder, "SOURCES.md").is_file(), f"FACES_DIR={folder} holds no SOURCES.md"
    return Path(folder)
