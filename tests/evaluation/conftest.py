"""A small project, from XYZ files to evaluated runs, made once by the library's own stages."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_molecules import SmallMolecules
from small_project import SmallProject


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Read it, never change it."""
    made = SmallProject(tmp_path_factory.mktemp("project"))
    made.compute()
    return made


@pytest.fixture(scope="session")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> SmallMolecules:
    """Read it, never change it."""
    made = SmallMolecules(tmp_path_factory.mktemp("molecules"))
    made.compute()
    return made
