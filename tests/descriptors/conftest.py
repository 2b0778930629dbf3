"""Molecules of the tests of descriptors: built by RDKit from SMILES, with positions."""

from collections.abc import Callable

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from psigraph.structures.model import Structure


def embedded(smiles: str, seed: int = 7) -> Chem.Mol:
    """RDKit's molecule with hydrogens and one conformer, relaxed by MMFF where that has parameters."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=seed) == 0, smiles
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol)
    return mol


def structure_of(mol: Chem.Mol) -> Structure:
    z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
    return Structure(
        id="molecule",
        z=z,
        positions=mol.GetConformer().GetPositions(),
        fragment=np.zeros(len(z)),
        v_ref=np.nan,
        charge=(Chem.GetFormalCharge(mol), 0),
        multiplicity=(1 + unpaired, 1),
    )


def dimer_of(a: Structure, b: Structure, shift: tuple[float, float, float]) -> Structure:
    """A and B, with B moved by `shift` [Å]."""
    return Structure(
        id="dimer",
        z=np.concatenate([a.z, b.z]),
        positions=np.concatenate([a.positions, b.positions + shift]),
        fragment=np.repeat([0, 1], [a.n_atoms, b.n_atoms]),
        v_ref=0.0,
        charge=(a.charge[0], b.charge[0]),
        multiplicity=(a.multiplicity[0], b.multiplicity[0]),
    )


def changed(s: Structure, matrix: np.ndarray, shift: np.ndarray, order: np.ndarray) -> Structure:
    """The structure after x -> matrix x + shift, its atoms in another order."""
    return Structure(
        id=s.id,
        z=s.z[order],
        positions=(s.positions @ matrix.T + shift)[order],
        fragment=s.fragment[order],
        v_ref=s.v_ref,
        charge=s.charge,
        multiplicity=s.multiplicity,
    )


def rotation(seed: int) -> np.ndarray:
    """A proper rotation (3, 3)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


@pytest.fixture
def molecule() -> Callable[..., Structure]:
    """A structure by SMILES."""
    return lambda smiles, seed=7: structure_of(embedded(smiles, seed))


@pytest.fixture
def embed() -> Callable[..., Chem.Mol]:
    return embedded


@pytest.fixture
def dimer() -> Callable[..., Structure]:
    return dimer_of


@pytest.fixture
def change() -> Callable[..., Structure]:
    return changed


@pytest.fixture
def turn() -> Callable[[int], np.ndarray]:
    return rotation
