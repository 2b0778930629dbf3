"""Shards of synthetic dimers; makes `runs` here and `synthetic` of the model tests importable."""

import sys
from pathlib import Path

import pytest
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "models")]

from regional_runs import molecule_settings, write_molecule_shards  # noqa: E402
from synthetic import random_graphs, write_shards  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_shards(tmp_path_factory.mktemp("shards"), random_graphs(24))


@pytest.fixture(scope="session")
def molecule_shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_molecule_shards(tmp_path_factory.mktemp("molecules"), molecule_settings())
