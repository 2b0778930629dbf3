"""Checkpoints: what they carry, and one clear error for each way they cannot be used."""

from pathlib import Path
from typing import Any

import pytest
import torch
from runs import run_settings
from synthetic import batch, random_graphs

from psigraph.training.checkpoint import CheckpointError, load_model, save_model
from psigraph.training.engine import train_run


@pytest.fixture(scope="module")
def checkpoint(shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    names: dict[str, Any] = {"experiment": "delta", "architecture": "delta_coupling", "seed": 0}
    return train_run(shards, folder, settings=run_settings(epochs=1), **names)


def altered(checkpoint: Path, target: Path, change: Any) -> Path:
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, target)
    return target


def test_carries_all_that_prediction_needs(checkpoint: Path) -> None:
    loaded = load_model(checkpoint, "delta_coupling")
    meta = loaded.meta
    assert not loaded.model.training
    assert (meta["format"], meta["format_version"], meta["architecture"]) == ("psigraph-model", 3, "delta_coupling")
    assert meta["graphset"] == {
        **{"family": "delta", "cutoff": 12.0, "length_scale": 0.1, "unit": "kcal/mol", "v0": "column"},
        **{"level": None, "level_name": "", "atom_features": [["mulliken_spd", 3]]},
        **{"multipoles": True, "participation": True},
    }
    assert meta["hyperparameters"] == {"num_conv_layers": 2, "num_rbf": 4, "hidden": 8, "field_cutoff": 50.0}
    assert meta["inputs"] == {"cutoff": 12.0, "length_scale": 0.1, "atom_width": 3}
    assert meta["objective"] == "properties" and loaded.family == "delta"
    assert meta["training"]["mape_epsilon"] == 0.1 and meta["loss_weight"]["power"] == 1.0
    assert meta["loss_weight"]["mean_weight"] == pytest.approx(1)
    assert set(meta["elements"]) <= {1, 6, 7, 8} and len(meta["shard_digests"]) == 2
    ranges = meta["training_ranges"]
    assert 5 <= ranges["n_atoms"][0] <= ranges["n_atoms"][1] <= 10
    assert ranges["charges"] == [[0, 0], [0, 1]] and ranges["n_samples"] == 16
    assert 3 <= ranges["R_angstrom"][0] < ranges["R_angstrom"][1] <= 6
    assert float(loaded.model.delta_scale) != 1 and meta["monitor"] == "validation mape" and meta["best_epoch"] == 1
    assert torch.isfinite(loaded.model(batch(random_graphs(3)))).all()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="none.pt: no such checkpoint; make it with: snakemake"):
        load_model(tmp_path / "none.pt")


def test_another_architecture_was_asked_for(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="architecture 'delta_coupling', but 'pamnet' was asked for"):
        load_model(checkpoint, "pamnet")


def test_unknown_architecture(checkpoint: Path, tmp_path: Path) -> None:
    path = altered(checkpoint, tmp_path / "x.pt", lambda c: c["meta"].update(architecture="other"))
    with pytest.raises(CheckpointError, match="'other', which this version does not have; known: delta_coupling"):
        load_model(path)


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], torch.zeros(3)])
def test_not_a_psigraph_checkpoint(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="x.pt: not a psigraph checkpoint"):
        load_model(tmp_path / "x.pt")


def test_other_format_version(checkpoint: Path, tmp_path: Path) -> None:
    path = altered(checkpoint, tmp_path / "x.pt", lambda c: c.update(format_version=99))
    with pytest.raises(CheckpointError, match="checkpoint format 99, this version reads 3; train it again with"):
        load_model(path)


def test_missing_meta(checkpoint: Path, tmp_path: Path) -> None:
    path = altered(checkpoint, tmp_path / "x.pt", lambda c: c["meta"].pop("graphset"))
    with pytest.raises(CheckpointError, match="lacks graphset"):
        load_model(path)


def test_weights_that_do_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    path = altered(checkpoint, tmp_path / "x.pt", lambda c: c["meta"]["hyperparameters"].update(num_rbf=5))
    with pytest.raises(CheckpointError, match="its weights do not fit the architecture 'delta_coupling'"):
        load_model(path)


@pytest.mark.parametrize("damage", ["truncated", "text", "code"])
def test_damaged_file(checkpoint: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.pt"
    if damage == "truncated":
        path.write_bytes(checkpoint.read_bytes()[:-2000])
    elif damage == "text":
        path.write_text("hello")
    else:
        torch.save({"format": "psigraph-model", "x": Path("/")}, path)  # a class: weights_only refuses it
    with pytest.raises(CheckpointError, match="x.pt: damaged or not a checkpoint .*train it again with"):
        load_model(path)


def test_saving_needs_the_meta(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="meta lacks hyperparameters"):
        save_model(tmp_path / "x.pt", torch.nn.Linear(1, 1), {"architecture": "a"})
    assert not list(tmp_path.iterdir())
