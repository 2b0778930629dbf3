"""Which molecule is it? One canonical text per molecule, from its geometry and charge.

The identity must be the same for one molecule in every database, at every conformation, atom order and mirror image,
because splits are drawn by it. Bond orders and formal charges perceived from a geometry are not that stable, so they
decide nothing here:

1. Bonds without orders come from distances (`geometry.bonds`). Elements, bonds and total charge, with all hydrogens,
   are the identity; resonance forms and stereoisomers are one molecule, tautomers are two.
2. The atoms are renumbered by RDKit's canonical order of that graph, so that all that follows depends on the graph
   and the charge alone.
3. RDKit's `DetermineBondOrders`, which reads bonds and charge and never positions, gives bond orders and formal
   charges; the text is its canonical SMILES without stereochemistry.
4. Where step 3 fails (radicals, metal complexes) the text is the canonical SMILES of the graph with single
   bonds and all hydrogens, and the charge: `graph:[H][C]([H])[H];charge=+0`.

A SMILES states every hydrogen and the charge, so two different graphs never get the same text.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds
from rdkit.Chem.Scaffolds import MurckoScaffold

from psigraph.structures.geometry import bonds
from psigraph.structures.model import Structure

#: Between the two monomers of a group's name.
SEPARATOR = " | "
#: How the text begins where no Lewis structure was found.
_BARE = "graph:"
#: Steps of the bond-order search before the fallback is taken; protein fragments and tetracene need far fewer.
_MAX_ITERATIONS = 20_000


def molecule_identity(z: np.ndarray, positions: np.ndarray, charge: int) -> str:
    """Return the canonical text of the molecule of atoms `z` (N,) at `positions` (N, 3) [Å] with total `charge` [e]."""
    graph, _ = bare_graph(z, bonds(z, positions))
    return identity_of_graph(graph, int(charge))


def group_of(structure: Structure) -> str:
    """Return the unordered pair of a dimer's monomers' identities, `identity | identity`; a molecule's own identity."""
    monomers = (0, 1) if structure.is_dimer else (0,)
    identities = [molecule_identity(*structure.monomer(m), structure.charge[m]) for m in monomers]
    return SEPARATOR.join(sorted(identities))


@lru_cache(maxsize=100_000)
def scaffold_of(smiles: str) -> str:
    """Return the Bemis-Murcko scaffold of a SMILES, or of an identity, as canonical SMILES without stereochemistry.

    Rings and what links them (G. W. Bemis, M. A. Murcko, J. Med. Chem. 39, 2887, 1996), with the atoms that double
    bonds hold to them, as RDKit has it. Empty for a molecule without rings, and for what is no SMILES.
    """
    with rdBase.BlockLogs():
        mol = None if smiles.startswith(_BARE) else Chem.MolFromSmiles(smiles)
        if mol is None or not mol.GetRingInfo().NumRings():
            return ""
        return _canonical_smiles(MurckoScaffold.GetScaffoldForMol(mol))


def bare_graph(z: np.ndarray, pairs: np.ndarray) -> tuple[str, Chem.RWMol]:
    """Return the graph of atoms `z` (N,) and bonds `pairs` (P, 2), single bonds only, as canonical SMILES and molecule.

    All hydrogens are explicit; the SMILES is a function of the graph alone.
    """
    mol = Chem.RWMol()
    for number in z:
        atom = Chem.Atom(int(number))
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for i, j in pairs:
        mol.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return Chem.MolToSmiles(mol, canonical=True, allHsExplicit=True), mol


def read_bare_graph(graph: str) -> Chem.Mol:
    """Return the molecule of a text that `bare_graph` gave: every atom as it stands there, nothing perceived."""
    parameters: Any = Chem.SmilesParserParams()
    parameters.sanitize = False
    parameters.removeHs = False
    mol = Chem.MolFromSmiles(graph, parameters)
    for atom in mol.GetAtoms():
        atom.SetNoImplicit(True)
    return mol


@lru_cache(maxsize=100_000)
def identity_of_graph(graph: str, charge: int) -> str:
    """Return the identity (steps 2 to 4) of a graph, read back from the canonical text that `bare_graph` gave."""
    mol = read_bare_graph(graph)
    fallback = f"{_BARE}{graph};charge={charge:+d}"
    if mol.GetNumAtoms() == 1:
        mol.GetAtomWithIdx(0).SetFormalCharge(charge)
        return Chem.MolToSmiles(mol)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    with rdBase.BlockLogs():
        try:
            rdDetermineBonds.DetermineBondOrders(mol, charge=charge, embedChiral=False, maxIterations=_MAX_ITERATIONS)
            Chem.SanitizeMol(mol)
            if Chem.GetFormalCharge(mol) != charge or any(a.GetNumRadicalElectrons() for a in mol.GetAtoms()):
                return fallback
            return _canonical_smiles(Chem.RemoveHs(mol))
        except (ValueError, RuntimeError):  # RDKit: no assignment of valences adds up, or too many to try
            return fallback


def _canonical_smiles(mol: Chem.Mol) -> str:
    """Canonical SMILES without stereochemistry; written twice, since RDKit's text can change once when read back."""
    Chem.RemoveStereochemistry(mol)
    text = Chem.MolToSmiles(mol, isomericSmiles=False)
    again = Chem.MolFromSmiles(text)
    return Chem.MolToSmiles(again, isomericSmiles=False) if again is not None else text
