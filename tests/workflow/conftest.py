"""One undisturbed run of the tiny workflow, which the other tests copy instead of repeating."""

import shutil
from pathlib import Path

import pytest
from running import copy_repository, finish

from psigraph.quantum.interpreter import InterpreterError, find_interpreter


@pytest.fixture(scope="session")
def psi4() -> None:
    """Skip where there is no Psi4."""
    try:
        find_interpreter()
    except InterpreterError as error:
        pytest.skip(f"no Psi4: {error}")


@pytest.fixture
def fresh(repository: Path, tmp_path: Path) -> Path:
    """A copy of the repository without results."""
    return copy_repository(repository, tmp_path / "psigraph")


@pytest.fixture(scope="session")
def undisturbed(psi4: None, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the tiny workflow has run; read it, never change it."""
    folder = copy_repository(repository, tmp_path_factory.mktemp("undisturbed") / "psigraph")
    finish(folder, "all")
    return folder


@pytest.fixture
def finished(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of the undisturbed run that a test may change."""
    return Path(shutil.copytree(undisturbed, tmp_path / "psigraph", symlinks=True))
