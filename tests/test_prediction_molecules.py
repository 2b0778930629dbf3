"""Predictions for new molecules from XYZ, SDF and SMILES files, with models of the family regional."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent / "training"))

from regional_runs import LABELS, molecule_settings, molecules, regional_settings, write_molecule_shards

from psigraph.graphs.molecule_dataset import MoleculeDataset
from psigraph.prediction import PredictionError, predict, rejected_path
from psigraph.structures.elements import symbol_of
from psigraph.structures.model import Structure
from psigraph.training.checkpoint import load_model, save_model
from psigraph.training.engine import train_run

#: Features that positions alone give, so that graphs of a file are those of the shards.
GEOMETRY: dict[str, Any] = {"atom_features": [], "bond_features": ["bond_length"], "molecule_features": []}
GEOMETRY |= {"region_features": ["size"], "level": None}
TARGETS = ["gap", "u0"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    settings = molecule_settings(**GEOMETRY, level_name="")
    return write_molecule_shards(tmp_path_factory.mktemp("shards"), settings)


@pytest.fixture(scope="module")
def checkpoints(shards: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    settings = regional_settings(epochs=2, graphset=GEOMETRY, targets=TARGETS)
    folder = tmp_path_factory.mktemp("runs")
    return [
        train_run(shards, folder / str(seed), experiment="e", architecture="pamnet", seed=seed, settings=settings)
        for seed in (0, 1)
    ]


def xyz(structure: Structure) -> str:
    atoms = [
        f"{symbol_of(int(z))} {x:.9f} {y:.9f} {w:.9f}"
        for z, (x, y, w) in zip(structure.z, structure.positions, strict=True)
    ]
    return "\n".join([str(len(atoms)), "", *atoms]) + "\n"


def test_xyz_files_give_what_the_models_say_of_the_shards(
    checkpoints: list[Path], shards: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for structure in molecules():
        (folder / f"{structure.id}.xyz").write_text(xyz(structure))
    (folder / "broken.xyz").write_text("nothing\n")
    predict(checkpoints, folder, tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv").set_index("id")
    data = MoleculeDataset(shards)
    expected = []
    for path in checkpoints:
        with torch.inference_mode():
            expected.append(load_model(path).model(data.batch(range(len(data)))).labels.numpy())
    values = np.stack(expected)
    found = table.loc[list(data.ids)]
    for t, name in enumerate(TARGETS):
        np.testing.assert_allclose(found[name], values[:, :, t].mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found[f"{name}_sd"], values[:, :, t].std(0, ddof=1), rtol=1e-2, atol=1e-4)
        np.testing.assert_allclose(found[f"{name}_max"], values[:, :, t].max(0), rtol=1e-4, atol=1e-4)
        assert (found[f"{name}_unit"] == "eV").all()
    assert (found["n_models"] == 2).all() and (found["n_atoms"].to_numpy() == data.n_atoms).all()
    rejected = pd.read_csv(rejected_path(tmp_path / "out.csv"))
    assert rejected["id"].tolist() == ["broken"] and rejected["stage"].tolist() == ["structures"]


def test_smiles_and_sdf_and_what_is_new_to_the_models(checkpoints: list[Path], tmp_path: Path) -> None:
    from rdkit import Chem
    from rdkit.Chem import AllChem

    (tmp_path / "new.smi").write_text("CO methanol\nCCCCCCCl long\nnonsense\n\n[NH4+]\n")
    mol = Chem.AddHs(Chem.MolFromSmiles("CCN"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    (tmp_path / "two.sdf").write_text(2 * f"{Chem.MolToMolBlock(mol)}$$$$\n")
    table = predict(checkpoints[:1], tmp_path / "new.smi", tmp_path / "smi.csv")[0].set_index("id")
    assert list(table.index) == ["methanol", "long", "new-5"] and table["gap_sd"].isna().all()
    flags = ["outside_elements", "outside_charge", "outside_n_atoms", "outside_n_heavy"]
    assert not table.loc["methanol", flags].any() and table.loc["methanol", "warnings"] == ""
    assert table.loc["long", flags].tolist() == [True, False, True, True]
    assert table.loc["long", "warnings"].startswith("elements not in training: Cl; 20 atoms, in training")
    assert table.loc["new-5", flags].tolist() == [False, True, False, False]
    assert "charge +1 not in training" in table.loc["new-5", "warnings"]
    rejected = pd.read_csv(rejected_path(tmp_path / "smi.csv"))
    assert rejected["id"].tolist() == ["new-3"] and "'nonsense' cannot be read" in rejected["reason"][0]
    both = predict(checkpoints, tmp_path / "two.sdf", tmp_path / "sdf.csv")[0]
    assert both["id"].tolist() == ["two-1", "two-2"] and both["u0"][0] == both["u0"][1]


def test_checkpoints_that_do_not_fit(checkpoints: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("C\n")
    loaded = load_model(checkpoints[0])
    other = tmp_path / "other.pt"
    save_model(other, loaded.model, {**loaded.meta, "targets": ["u0"]})
    with pytest.raises(PredictionError, match=r"their targets is \['gap', 'u0'\] and \['u0'\]"):
        predict([checkpoints[0], other], tmp_path / "a.smi", tmp_path / "out.csv")
    for name, message in (("b.smi", "no such file or folder"), ("other.pt", "read from files that end in .xyz, .sdf")):
        with pytest.raises(PredictionError, match=message):
            predict(checkpoints, tmp_path / name, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_pretrained_encoder_predicts_nothing(shards: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("C\n")
    settings = regional_settings(epochs=1, graphset=GEOMETRY, objective="contrast")
    path = train_run(shards, tmp_path / "run", experiment="e", architecture="pamnet", seed=0, settings=settings)
    with pytest.raises(PredictionError, match="learned the objective contrast, which predicts no property"):
        predict([path], tmp_path / "a.smi", tmp_path / "out.csv")


def test_relative_target_counts_from_the_mean_of_the_molecules_structures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Trained, and predicted for conformers of one molecule; what is alone has none."""
    labels = (replace(LABELS[0], relative=True), *LABELS[1:])
    paths = write_molecule_shards(tmp_path, molecule_settings(**GEOMETRY, level_name=""), labels=labels)
    settings = regional_settings(epochs=1, graphset=GEOMETRY, targets=TARGETS)
    path = train_run(paths, tmp_path / "run", experiment="e", architecture="pamnet", seed=0, settings=settings)
    given = [structure for structure in molecules() if structure.group in ("CCO", "NC=O")][:3]
    for structure in given:
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / f"{structure.id}.xyz").write_text(xyz(structure))
    found = predict([path], tmp_path / "new", tmp_path / "out.csv")[0].set_index("id")
    data = MoleculeDataset(paths, targets=TARGETS)
    chosen = [list(data.ids).index(structure.id) for structure in given]
    with torch.inference_mode():
        raw = load_model(path).model(data.batch(chosen)).labels.numpy()
    u0 = found["u0"].loc[[structure.id for structure in given]].to_numpy()
    np.testing.assert_allclose(u0[:2], raw[:2, 1] - raw[:2, 1].mean(), atol=1e-4)
    assert np.isnan(u0[2]) and found["gap"].notna().all()
    assert "1 of 3 structures are alone of their molecule" in caplog.text
