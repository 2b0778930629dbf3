"""Which atoms of a ligand a prediction rests on: gradient × density of every atom.

The densities of ligand atom a enter a model multiplied by w_a = 1, so that ∂prediction/∂w_a at 1 is the sum over the
grid of the gradient with respect to the atom's density times that density (gradient × input, see A. Shrikumar et al.,
2016, arXiv:1605.01713). Above 0 the atom raises the prediction.

Legend of shapes: N atoms of a ligand, ΣN of all of a batch, B bonds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from rdkit import Chem

from psigraph.evaluation.inference import precise
from psigraph.graphs.complex_batch import ComplexBatch
from psigraph.graphs.complex_dataset import ComplexDataset

SALIENCY_COLUMNS = ("which", "index", "id", "atom", "element", "saliency")
#: Test complexes that are drawn: name, and where they stand among all by their absolute error.
SHOWN = {"smallest": 0.0, "median": 0.5, "largest": 1.0}


@dataclass(frozen=True)
class Explained:
    """One complex: which of `SHOWN` it is, its row of predictions.csv, its ligand, and the saliency of atoms (N,)."""

    which: str
    row: dict[str, Any]
    ligand: Chem.Mol
    saliency: np.ndarray


def atom_saliency(model: Any, batch: ComplexBatch) -> np.ndarray:
    """Return gradient × density (ΣN,) of every ligand atom, in the unit of the label; the model is in eval mode."""
    with precise(model), torch.enable_grad():
        weights = torch.ones_like(batch.pos_atoms[:, 0], requires_grad=True)  # (ΣN,)
        (gradient,) = torch.autograd.grad(model(batch, weights).labels.sum(), weights)
    return gradient.to(torch.float64).numpy()


def shown_rows(predictions: pd.DataFrame) -> dict[str, dict[Any, Any]]:
    """Return the rows of predictions.csv of the test complexes with the smallest, the median and the largest error."""
    test = predictions[(predictions["split"] == "test") & predictions["reference"].notna()]
    order = (test["predicted"] - test["reference"]).abs().sort_values(kind="stable").index
    places = {which: order[round(share * (len(order) - 1))] for which, share in SHOWN.items() if len(order)}
    return {which: test.loc[place].to_dict() for which, place in places.items()}


def explain(model: Any, complexes: ComplexDataset, predictions: pd.DataFrame) -> list[Explained]:
    """Return the saliency of the ligands of `shown_rows`, none without test complexes."""
    rows = shown_rows(predictions)
    if not rows:
        return []
    batch = complexes.select([row["index"] for row in rows.values()]).batch(range(len(rows)))
    saliency, atoms, bonds = atom_saliency(model, batch), batch.atoms_ptr.numpy(), batch.bonds_ptr.numpy()
    found = []
    for number, (which, row) in enumerate(rows.items()):
        own, pairs = slice(*atoms[number : number + 2]), slice(*bonds[number : number + 2])
        ends = batch.bonds[pairs].numpy() - atoms[number]
        ligand = ligand_molecule(batch.z_atoms[own].numpy(), ends, batch.bond_features[pairs, 0].numpy())
        found.append(Explained(which, row, ligand, saliency[own]))
    return found


def ligand_molecule(z: np.ndarray, bonds: np.ndarray, orders: np.ndarray) -> Chem.Mol:
    """Return the molecule of atoms z (N,) in their order, of bonds (B, 2) with orders (B,) 1, 1.5, 2 or 3.

    Hydrogens and formal charges are not known, so nothing is sanitised: it is for drawing.
    """
    kinds = {1.0: Chem.BondType.SINGLE, 1.5: Chem.BondType.AROMATIC, 2.0: Chem.BondType.DOUBLE}
    kinds[3.0] = Chem.BondType.TRIPLE
    editable = Chem.RWMol()
    for number in z:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        editable.AddAtom(atom)
    for (i, j), order in zip(bonds.tolist(), orders.tolist(), strict=True):
        editable.AddBond(i, j, kinds.get(float(order), Chem.BondType.UNSPECIFIED))
    molecule = editable.GetMol()
    molecule.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(molecule)
    return molecule


def saliency_table(explained: Sequence[Explained]) -> pd.DataFrame:
    """Return one row per atom of the explained complexes."""
    rows = [
        {
            "which": item.which,
            "index": item.row["index"],
            "id": item.row["id"],
            "atom": atom.GetIdx(),
            "element": atom.GetSymbol(),
            "saliency": item.saliency[atom.GetIdx()],
        }
        for item in explained
        for atom in item.ligand.GetAtoms()
    ]
    return pd.DataFrame(rows, columns=list(SALIENCY_COLUMNS))
