"""Fixtures shared by all tests: one thread, the shared research data, the Psi4 interpreter."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of research data beside the repository; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("PSIGRAPH_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("no research data: set PSIGRAPH_SHARED to the folder that holds data/")
    return folder
