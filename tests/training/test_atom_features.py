"""Training on graphs with any number of features of each atom."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import run_settings
from synthetic import SETTINGS, batch, random_graphs, write_shards

from psigraph.graphs.settings import GraphSettings
from psigraph.stores import StoreError
from psigraph.training.checkpoint import CheckpointError, load_model
from psigraph.training.engine import train_run

SETS: dict[str, list[str]] = {
    "none": [],
    "three": ["mulliken_spd"],
    "five": ["formal_charge", "free_atom_valence"],
}


def settings_of(names: list[str]) -> dict[str, Any]:
    settings = run_settings(epochs=2)
    settings["graphset"]["atom_features"] = names
    return settings


def shards_of(folder: Path, names: list[str]) -> list[Path]:
    settings = replace(SETTINGS, atom_features=names)
    return write_shards(folder, random_graphs(24, width=settings.atom_width), settings=settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name, features in SETS.items():
        folder = tmp_path_factory.mktemp(name)
        names: dict[str, Any] = {"experiment": "delta", "architecture": "delta_coupling", "seed": 3}
        found[name] = train_run(shards_of(folder, features), folder / "run", settings=settings_of(features), **names)
    return found


@pytest.mark.parametrize("name", SETS)
def test_checkpoint_brings_its_width(runs: dict[str, Path], name: str) -> None:
    loaded = load_model(runs[name])
    width = GraphSettings(v0="zero", atom_features=SETS[name]).atom_width
    assert [feature for feature, _ in loaded.meta["graphset"]["atom_features"]] == SETS[name]
    assert loaded.model.atom_width == width and loaded.model.atom_mean.shape == (width,)
    assert torch.isfinite(loaded.model(batch(random_graphs(3, width=width)))).all()
    if width:
        assert float(loaded.model.atom_scale.min()) > 0 and not torch.equal(loaded.model.atom_mean, torch.zeros(width))


def test_split_does_not_depend_on_features(runs: dict[str, Path]) -> None:
    splits = {path.with_name("split.csv").read_text() for path in runs.values()}
    assert len(splits) == 1


def test_columns_are_normalised_one_by_one(runs: dict[str, Path]) -> None:
    """Also where they differ by many orders of magnitude."""
    model = load_model(runs["five"]).model
    graphs = random_graphs(20, seed=1, width=5)
    scale = np.array([1e-3, 1.0, 1e2, 1e4, 0.0])
    scaled = [replace(graph, atomic_node_attr=graph.atomic_node_attr * scale) for graph in graphs]
    data = batch(scaled, torch.float64)
    model.double().fit_normalisation({k: data[k] for k in ("u", "y", "atomic_node_attr", "field_node_features")})
    values = model.normalised_atoms(data.atomic_node_attr)
    spread = values.std(0, correction=0)
    assert torch.allclose(values.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(spread, torch.tensor([1.0, 1, 1, 1, 0], dtype=torch.float64))


def test_shards_of_other_features_are_refused(tmp_path: Path) -> None:
    shards = shards_of(tmp_path, [])
    with pytest.raises(StoreError, match=r"built with atom_features \[\], but this run asks for \[mulliken_spd\]"):
        train_run(
            shards, tmp_path / "run", experiment="delta", architecture="delta_coupling", seed=0, settings=run_settings()
        )


def test_weights_of_another_width_do_not_fit(runs: dict[str, Path], tmp_path: Path) -> None:
    content = torch.load(runs["three"], weights_only=True)
    content["meta"]["inputs"]["atom_width"] = 1
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="its weights do not fit the architecture 'delta_coupling'"):
        load_model(tmp_path / "x.pt")
