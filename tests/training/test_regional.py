"""Whole training jobs of the family regional: its files, splits, objectives and starts."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from regional_runs import molecule_settings, regional_settings, write_molecule_shards

from psigraph.graphs.loader import make_loader
from psigraph.graphs.molecule_dataset import MoleculeDataset
from psigraph.training.checkpoint import load_model
from psigraph.training.engine import train_run
from psigraph.training.start import StartError

NAMES: dict[str, Any] = {"experiment": "e", "architecture": "pamnet", "seed": 0}


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def history(folder: Path) -> list[dict[str, str]]:
    return rows(folder / "history.csv")


def test_files_of_a_run(molecule_shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="psigraph"):
        path = train_run(molecule_shards, tmp_path, settings=regional_settings(epochs=3), **NAMES)
    assert list(history(tmp_path)[0]) == [
        *("epoch", "train_loss", "val_mae", "val_mae_u0", "val_mae_gap", "val_mae_rare", "lr", "seconds"),
        "graphs_per_s",
    ]
    split = rows(tmp_path / "split.csv")
    assert [row["id"] for row in split] == [*(f"m{n}" for n in range(0, 30, 2)), *(f"m{n}" for n in range(1, 30, 2))]
    sides: dict[str, set[str]] = {}
    for row in split:
        sides.setdefault(row["group"], set()).add(row["split"])
    assert all(len(side) == 1 for side in sides.values()) and set.union(*sides.values()) == {
        *("train", "validation", "test")
    }
    loaded = load_model(path, "pamnet")
    meta = loaded.meta
    assert meta["graphset"] == {**molecule_settings().identity(), "level_name": "hf"} and loaded.family == "regional"
    assert meta["targets"] == ["u0", "gap", "rare"] and meta["monitor"] == "validation mae"
    assert [target["unit"] for target in meta["inputs"]["targets"]] == ["eV", "eV", "D"]
    assert set(meta["elements"]) <= {1, 6, 7, 8}
    assert meta["training_ranges"]["n_heavy"][0] == 1 and meta["training_ranges"]["charges"] == [0]
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["best_epoch"] == meta["best_epoch"] and "start_from" not in record
    best = history(tmp_path)[record["best_epoch"] - 1]
    assert float(best["val_mae"]) == min(float(row["val_mae"]) for row in history(tmp_path))
    # the kept weights give the validation metrics of their epoch
    data = MoleculeDataset(molecule_shards)
    chosen = [n for n, row in enumerate(split) if row["split"] == "validation"]
    (batch,) = make_loader(data.select(chosen), 100)
    with torch.inference_mode():
        errors = (loaded.model(batch).labels - batch.y).abs().nanmean(0)
    assert float(best["val_mae_u0"]) == pytest.approx(float(errors[0]), rel=1e-4)
    assert float(best["val_mae_rare"]) == pytest.approx(float(errors[2]), rel=1e-4)
    assert "MAE u0" in caplog.text and " eV" in caplog.text


def test_single_target_by_configuration(molecule_shards: list[Path], tmp_path: Path) -> None:
    path = train_run(molecule_shards, tmp_path, settings=regional_settings(epochs=1, targets=["gap"]), **NAMES)
    loaded = load_model(path)
    assert loaded.meta["targets"] == ["gap"] and "val_mae_gap" in history(tmp_path)[0]
    assert "val_mae_u0" not in history(tmp_path)[0]
    (batch,) = make_loader(MoleculeDataset(molecule_shards, targets=["gap"]), 100)
    assert loaded.model(batch).labels.shape == (30, 1)
    with pytest.raises(ValueError, match="no label 'gab'"):
        train_run(molecule_shards, tmp_path, settings=regional_settings(targets=["gab"]), **NAMES)


@pytest.mark.parametrize(
    "options",
    [
        {"target_weights": "uncertainty", "batch_size": 7, "clip_norm": 0.1, "ema_decay": 0.9, "weight_decay": 0.01},
        {"architecture": "wavefunction_messages", "batch_size": 5, "weight_decay": 0.01},
    ],
    ids=["clipped, averaged, decaying", "two phases"],
)
def test_parts_and_processes_change_nothing(
    molecule_shards: list[Path], tmp_path: Path, options: dict[str, Any]
) -> None:
    """In float64 what is left is the order of sums; a third of the targets is missing."""
    settings = regional_settings(epochs=4, precision="float64", **options)
    names = {**NAMES, "architecture": options.get("architecture", "pamnet")}
    one = load_model(train_run(molecule_shards, tmp_path / "one", settings=settings, **names)).model.state_dict()
    parts = {**settings, "training": {**settings["training"], "accumulate": 3}}
    others = [
        train_run(molecule_shards, tmp_path / "parts", settings=parts, **names),
        train_run(molecule_shards, tmp_path / "two", settings=settings, processes=2, **names),
    ]
    for path in others:
        other = load_model(path).model.state_dict()
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-8, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("architecture", ["region_contrastive", "wavefunction_messages"])
def test_own_objective_comes_first_and_is_not_selected(
    molecule_shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, architecture: str
) -> None:
    """Half of the epochs; patience counts none of them, and the best epoch is one of the others."""
    settings = regional_settings(architecture, epochs=6, patience=1, lr=1e-30)
    with caplog.at_level(logging.INFO):
        path = train_run(molecule_shards, tmp_path, settings=settings, **{**NAMES, "architecture": architecture})
    assert "epochs 1 to 3 learn the objective" in caplog.text
    assert load_model(path).meta["pretraining_epochs"] == 3
    lines = history(tmp_path)
    assert len(lines) == 5 and all(line["val_mae"] for line in lines), (
        "3 epochs, the best one, and one without progress"
    )
    assert json.loads((tmp_path / "training.json").read_text())["best_epoch"] == 4


def test_steps_instead_of_epochs(molecule_shards: list[Path], tmp_path: Path) -> None:
    """18 molecules in batches of 4 stand 12 times in an epoch of at least 50 batches."""
    path = train_run(molecule_shards, tmp_path, settings=regional_settings(steps=70), **NAMES)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    taken = last["run"]["scheduler"]["last_epoch"]
    assert 70 <= taken < 70 + 2 * 50 and load_model(path).meta["training"]["epochs"] == len(history(tmp_path)) == 2


@pytest.mark.parametrize("objective", ["quantum", "contrast"])
def test_pretraining_and_fine_tuning(
    molecule_shards: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, objective: str
) -> None:
    """An encoder learns an objective; another experiment with other targets starts from it."""
    first = regional_settings(epochs=6, objective=objective)
    pretrained = train_run(molecule_shards, tmp_path / "first", settings=first, **{**NAMES, "experiment": "first"})
    metrics = [name for name in history(tmp_path / "first")[0] if name.startswith("val_")]
    assert metrics == (["val_loss"] if objective == "quantum" else ["val_loss", "val_accuracy"])
    losses = [float(line["train_loss"]) for line in history(tmp_path / "first")]
    assert losses[-1] < losses[0]
    encoder = load_model(pretrained)
    assert encoder.meta["objective"] == objective and encoder.meta["monitor"] == "validation loss"
    settings = regional_settings(epochs=1, lr=1e-30, targets=["gap"])
    with caplog.at_level(logging.INFO):
        tuned = train_run(molecule_shards, tmp_path / "second", settings=settings, start_from=pretrained, **NAMES)
    found, source = load_model(tuned).model, encoder.model.state_dict()
    taken = found.encoder_state()  # type: ignore[operator]
    assert taken and all(
        torch.equal(value, source[name]) for name, value in found.state_dict().items() if name in taken
    )
    record = json.loads((tmp_path / "second/training.json").read_text())["start_from"]
    assert (record["experiment"], record["objective"], record["tensors"]) == ("first", objective, len(taken))
    assert f"{len(taken)} of " in caplog.text and "taken over" in caplog.text
    fresh = train_run(molecule_shards, tmp_path / "fresh", settings=settings, **NAMES)
    other = load_model(fresh).model.state_dict()
    assert any(not torch.equal(other[name], source[name]) for name in taken)


def test_starting_from_other_features_is_refused_with_the_remedy(molecule_shards: list[Path], tmp_path: Path) -> None:
    pretrained = train_run(molecule_shards, tmp_path / "first", settings=regional_settings(epochs=1), **NAMES)
    features = {"atom_features": ["valence_electrons"], "level": None, "bond_features": ["bond_length"]}
    features |= {"region_features": ["size"], "molecule_features": []}
    (tmp_path / "bare").mkdir()
    bare = write_molecule_shards(tmp_path / "bare", molecule_settings(**features, level_name=""))
    with pytest.raises(StartError, match=r"atoms with npa_charge only there.*same features") as error:
        settings = regional_settings(epochs=1, graphset=features)
        train_run(bare, tmp_path / "second", settings=settings, start_from=pretrained, **NAMES)
    assert str(pretrained) in str(error.value)
    for change, what in (({"seed": 1}, "seed 0, this run of 1"), ({"architecture": "region_contrastive"}, "'pamnet'")):
        with pytest.raises(StartError, match=what):
            names = {**NAMES, **change}
            settings = regional_settings(names["architecture"])
            train_run(molecule_shards, tmp_path / "third", settings=settings, start_from=pretrained, **names)


def test_a_variant_starts_from_the_same_variant(molecule_shards: list[Path], tmp_path: Path) -> None:
    names = {**NAMES, "architecture": "pamnet.wide"}
    settings = regional_settings(epochs=1)
    wide = {**settings, "hyperparameters": {"dim": 12, "layers": 1}}
    path = train_run(molecule_shards, tmp_path / "wide", settings=wide, **names)
    assert load_model(path, "pamnet.wide").meta["hyperparameters"]["dim"] == 12
    with pytest.raises(StartError, match="does not fit: .* of shape .* there and of shape .* here"):
        train_run(molecule_shards, tmp_path / "slim", settings=settings, start_from=path, **NAMES)


def test_monitor_of_another_family_is_refused(molecule_shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training.monitor is mape, but this task has mae"):
        train_run(molecule_shards, tmp_path, settings=regional_settings(epochs=1, monitor="mape"), **NAMES)


@pytest.mark.parametrize(("objective", "own_epochs"), [("quantum", 0), ("contrast", 2)])
def test_own_objective_that_was_learned_before_is_not_learned_again(
    molecule_shards: list[Path], tmp_path: Path, objective: str, own_epochs: int
) -> None:
    """The approximator of wavefunction_messages comes along; after another objective it is learned first."""
    names = {**NAMES, "architecture": "wavefunction_messages"}
    first = regional_settings("wavefunction_messages", epochs=2, objective=objective)
    start = train_run(molecule_shards, tmp_path / "first", settings=first, **names)
    settings = regional_settings("wavefunction_messages", lr=1e-30)
    path = train_run(molecule_shards, tmp_path / "second", settings=settings, start_from=start, **names)
    loaded, source = load_model(path), load_model(start).model.state_dict()
    assert loaded.meta["pretraining_epochs"] == own_epochs
    fresh = load_model(train_run(molecule_shards, tmp_path / "fresh", settings=settings, **names)).model.state_dict()
    heads = {name: v for name, v in loaded.model.state_dict().items() if name.startswith("objective_heads.quantum")}
    assert heads and all(torch.equal(value, source[name]) for name, value in heads.items())
    new = all(torch.equal(value, fresh[name]) for name, value in heads.items())
    assert new == (objective == "contrast"), "drawn from the seed and not learned, as there"


@pytest.mark.parametrize("architecture", ["pamnet", "wavefunction_messages"])
def test_an_encoder_that_learned_from_psi4_is_tuned_on_a_table_without_it(
    molecule_shards: list[Path], tmp_path: Path, architecture: str
) -> None:
    """The table's graphs have the level's columns and no value in them."""
    names = {**NAMES, "architecture": architecture}
    first = regional_settings(architecture, epochs=2, objective="quantum")
    start = train_run(molecule_shards, tmp_path / "first", settings=first, **names)
    (tmp_path / "bare").mkdir()
    bare = write_molecule_shards(tmp_path / "bare", molecule_settings(), known=False)
    settings = regional_settings(architecture, epochs=8, lr=2e-3, targets=["gap"], graphset={"computed": []})
    path = train_run(bare, tmp_path / "second", settings=settings, start_from=start, **names)
    loaded, source = load_model(path), load_model(start).model.state_dict()
    assert loaded.meta["pretraining_epochs"] == 0, "what Psi4 says is not learned where nobody knows it"
    column = [item["name"] for item in loaded.meta["inputs"]["atoms"]].index("npa_charge")
    for name in ("atoms_mean", "atoms_scale"):
        assert loaded.model.state_dict()[name][column] == source[name][column] != float(name == "atoms_scale")
    losses = [float(line["train_loss"]) for line in history(tmp_path / "second")]
    assert losses[-1] < losses[0]
