"""Predictions for ligands posed in a protein, with models of the family affinity trained on real poses."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent / "training"))

from affinity_runs import SMALL

from psigraph.cli import main
from psigraph.config import OpenmmForcefields
from psigraph.evaluation.affinity.rotation import ROTATIONS, SEED
from psigraph.graphs.build import build_shard
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.graphs.complex_settings import ComplexSettings
from psigraph.graphs.loader import make_loader
from psigraph.prediction import Options, PredictionError, predict, rejected_path
from psigraph.structures.build import build_structures
from psigraph.structures.ligands import sdf_records
from psigraph.structures.sources import StructureError, openmm_systems_folder
from psigraph.training.checkpoint import load_model
from psigraph.training.engine import train_run


@pytest.fixture(scope="module")
def folder() -> Path:
    """The folder of one target of the default dataset: TYK2, whose 16 ligands all fit."""
    try:
        return openmm_systems_folder() / "tyk2"
    except StructureError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def shard(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tyk2")
    (made / "raw").mkdir()
    (made / "raw/tyk2").symlink_to(folder)
    dataset = OpenmmForcefields(source="openmmforcefields", path=made / "raw")
    build_structures(dataset, "tyk2", made / "s.h5", made / "s.rejected.csv")
    build_shard({"tyk2": made / "s.h5"}, {}, made / "0.h5", made / "0.skipped.csv", ComplexSettings())
    return made / "0.h5"


@pytest.fixture(scope="module")
def checkpoints(shard: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    settings = {
        "graphset": {"family": "affinity", "datasets": ["tyk2"]},
        "hyperparameters": SMALL["hybrid_cnn_gnn"],
        "split": {"by": "random", "draw": 0},
        "training": {"epochs": 2, "batch_size": 4},
    }
    made = tmp_path_factory.mktemp("runs")
    names = {"experiment": "e", "architecture": "hybrid_cnn_gnn"}
    return [train_run([shard], made / str(seed), seed=seed, settings=settings, **names) for seed in (0, 1)]


def ligands_of(folder: Path) -> Path:
    return next(folder.glob("*ligands*.sdf"))


def options_of(folder: Path) -> Options:
    return Options(protein=next(folder.glob("*_protein.pdb")))


def test_files_give_what_the_models_say_of_the_shards(
    folder: Path, shard: Path, checkpoints: list[Path], tmp_path: Path
) -> None:
    table, rejected = predict(checkpoints, ligands_of(folder), tmp_path / "p.csv", options_of(folder))
    data = ComplexDataset([shard])
    assert not rejected and len(table) == len(data)
    expected = []
    loader = make_loader(data.rotated(SEED), len(data))
    for path in checkpoints:
        model, turned = load_model(path).model.eval(), []
        for epoch in range(ROTATIONS):
            loader.set_epoch(epoch)
            turned.append(model(next(iter(loader))).labels[:, 0].detach().numpy())
        expected.append(np.mean(turned, axis=0))
    np.testing.assert_allclose(table["pK"], np.mean(expected, axis=0), atol=1e-5)
    np.testing.assert_allclose(table["pK_sd"], np.std(expected, axis=0, ddof=1), atol=1e-5)
    assert (table["pK_min"] <= table["pK"]).all() and (table["pK"] <= table["pK_max"]).all()
    assert (table["n_models"] == 2).all() and (table["rotation_sd"] > 0).all()
    assert not table["outside_elements"].any()
    assert pd.read_csv(tmp_path / "p.csv")["id"].tolist() == table["id"].tolist()


def test_a_broken_ligand_is_rejected_and_the_others_are_predicted(
    folder: Path, checkpoints: list[Path], tmp_path: Path
) -> None:
    records = list(sdf_records(ligands_of(folder)))[:2]
    broken = "\n".join(records[0].block.splitlines()[:12])
    (tmp_path / "l.sdf").write_text(broken + "\n$$$$\n" + records[1].block + "$$$$\n")
    table, rejected = predict(checkpoints[:1], tmp_path / "l.sdf", tmp_path / "p.csv", options_of(folder))
    assert table["id"].tolist() == [records[1].title] and table["pK_sd"].isna().all()
    assert [item.id for item in rejected] == [records[0].title] and "truncated" in rejected[0].reason
    assert "truncated" in rejected_path(tmp_path / "p.csv").read_text()


def test_a_ligand_elsewhere_is_rejected(folder: Path, checkpoints: list[Path], tmp_path: Path) -> None:
    other = ligands_of(folder.parent / "ptp1b")
    with pytest.raises(PredictionError, match="outside the pocket|clash"):
        predict(checkpoints[:1], other, tmp_path / "p.csv", options_of(folder))
    assert not (tmp_path / "p.csv").exists()


def test_what_is_missing_is_said(folder: Path, checkpoints: list[Path], tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="name it with --protein"):
        predict(checkpoints, ligands_of(folder), tmp_path / "p.csv")
    with pytest.raises(PredictionError, match="there is no file"):
        predict(checkpoints, ligands_of(folder), tmp_path / "p.csv", Options(protein=tmp_path / "no.pdb"))
    (tmp_path / "l.smi").write_text("CCO\n")
    with pytest.raises(PredictionError, match=".sdf or .mol2"):
        predict(checkpoints, tmp_path / "l.smi", tmp_path / "p.csv", options_of(folder))


def test_the_command(folder: Path, checkpoints: list[Path], tmp_path: Path) -> None:
    record = next(sdf_records(ligands_of(folder)))
    (tmp_path / "one.sdf").write_text(record.block + "$$$$\n")
    words = ["predict", "--checkpoint", str(checkpoints[0]), "--protein", str(options_of(folder).protein)]
    assert main([*words, "--output", str(tmp_path / "p.csv"), str(tmp_path / "one.sdf")]) == 0
    assert pd.read_csv(tmp_path / "p.csv")["id"].tolist() == [record.title]
