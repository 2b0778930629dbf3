"""Runs on made-up complexes, from structures to evaluated experiments, made once by the library's own stages."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent, HERE.parents[1] / "graphs", HERE.parents[1] / "training"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from affinity_runs import write_complex_shards  # noqa: E402
from small_complexes import SmallComplexes  # noqa: E402


@pytest.fixture(scope="session")
def complexes(tmp_path_factory: pytest.TempPathFactory) -> SmallComplexes:
    """Read it, never change it."""
    made = SmallComplexes(tmp_path_factory.mktemp("complexes"))
    made.compute()
    return made


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two shards of 30 complexes of five targets; read them, never change them."""
    return write_complex_shards(tmp_path_factory.mktemp("shards"), n=30, targets=5)
