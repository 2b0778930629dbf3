"""Saliency of atoms: of a made-up linear model it is known; ligands are drawn from the shards' atoms and bonds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch
from made_up_complexes import predictions
from rdkit import Chem

from psigraph.evaluation.affinity.saliency import (
    SALIENCY_COLUMNS,
    atom_saliency,
    explain,
    ligand_molecule,
    saliency_table,
    shown_rows,
)
from psigraph.evaluation.affinity.saliency_figure import plot_saliency
from psigraph.graphs.complex_dataset import ComplexDataset
from psigraph.models import build_model


class Linear(torch.nn.Module):
    """Predicts the sum over ligand atoms of weight × (0.1 z + x), and a constant."""

    def forward(self, batch: Any, atom_weights: Any = None) -> Any:
        weights = torch.ones_like(batch.pos_atoms[:, 0]) if atom_weights is None else atom_weights
        values = weights * coefficients(batch)
        sums = values.new_zeros(batch.num_graphs).index_add(0, batch.atoms_batch, values)
        return SimpleNamespace(labels=3.0 + sums[:, None])


def coefficients(batch: Any) -> torch.Tensor:
    return 0.1 * batch.z_atoms + batch.pos_atoms[:, 0]


def table_of(data: ComplexDataset, rows: list[int]) -> pd.DataFrame:
    frame = predictions(n=len(rows)).assign(index=rows, id=data.ids[rows], split="test")
    return frame.assign(predicted=frame["reference"] + np.arange(len(rows)))


def test_saliency_of_a_linear_model_is_its_terms(shards: list[Path]) -> None:
    batch = ComplexDataset(shards, dtype=torch.float64).batch([2, 9, 20])
    np.testing.assert_allclose(atom_saliency(Linear(), batch), coefficients(batch).numpy(), rtol=1e-12)


def test_saliency_of_a_model_is_the_slope_when_an_atom_fades(shards: list[Path]) -> None:
    batch = ComplexDataset(shards, dtype=torch.float64).batch([5, 6])
    torch.manual_seed(0)
    settings = {"grid_points": 8, "spacing": 3.0, "width": 2.0, "dropout": 0.1, "dim": 16, "heads": 2}
    model = build_model("residual_transformer_cnn", settings, targets=1).double()
    found = atom_saliency(model, batch)
    for atom in (0, 3, len(found) - 1):
        step = torch.zeros(len(found), dtype=torch.float64)
        step[atom] = 1e-4
        with torch.no_grad():
            high, low = (float(model(batch, 1.0 + sign * step).labels.sum()) for sign in (1, -1))
        assert (high - low) / 2e-4 == pytest.approx(found[atom], rel=1e-4, abs=1e-9)
    assert np.abs(found).max() > 0


def test_the_smallest_the_median_and_the_largest_error_are_shown() -> None:
    frame = predictions(n=24)
    test = frame["split"] == "test"
    errors = np.where(test, np.arange(24), 100.0)
    frame = frame.assign(predicted=frame["reference"] + errors * np.where(np.arange(24) % 2, 1, -1))
    rows = {which: row["index"] for which, row in shown_rows(frame).items()}
    tested = np.flatnonzero(test)
    assert rows == {"smallest": tested[0], "median": tested[round(0.5 * (len(tested) - 1))], "largest": tested[-1]}
    assert shown_rows(frame.assign(split="train")) == {}


def test_the_ligand_keeps_the_order_of_its_atoms(shards: list[Path]) -> None:
    data = ComplexDataset(shards, dtype=torch.float64)
    explained = explain(Linear(), data, table_of(data, [3, 8, 14]))
    assert [item.row["index"] for item in explained] == [3, 8, 14]
    for item in explained:
        batch = data.batch([item.row["index"]])
        assert [atom.GetAtomicNum() for atom in item.ligand.GetAtoms()] == batch.z_atoms.tolist()
        bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in item.ligand.GetBonds()]
        assert bonds == [tuple(pair) for pair in batch.bonds.tolist()]
        np.testing.assert_allclose(item.saliency, coefficients(batch).numpy(), rtol=1e-12)
    table = saliency_table(explained)
    assert tuple(table.columns) == SALIENCY_COLUMNS and len(table) == sum(len(item.saliency) for item in explained)
    assert table.groupby("which", sort=False)["index"].first().tolist() == [3, 8, 14]


def test_orders_of_bonds() -> None:
    ligand = ligand_molecule(np.array([6, 7, 6, 6]), np.array([[0, 1], [1, 2], [2, 3]]), np.array([3, 1, 1.5]))
    kinds = [bond.GetBondType() for bond in ligand.GetBonds()]
    assert kinds == [Chem.BondType.TRIPLE, Chem.BondType.SINGLE, Chem.BondType.AROMATIC]


def test_the_figure_is_drawn(shards: list[Path], tmp_path: Path) -> None:
    data = ComplexDataset(shards, dtype=torch.float64)
    explained = explain(Linear(), data, table_of(data, [1, 2, 4]))
    plot_saliency(explained, tmp_path / "saliency.png", "made up", "1")
    drawn = matplotlib.image.imread(tmp_path / "saliency.png")[..., :3]
    orange, purple = (drawn[..., 0] - drawn[..., 2] > 0.4), (drawn[..., 2] - drawn[..., 1] > 0.15)
    assert orange.sum() > 500 and purple.sum() > 500, "atoms of both signs"
