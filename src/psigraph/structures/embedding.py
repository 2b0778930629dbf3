"""Conformers of a molecule from its SMILES.

Drawn by ETKDGv3 (S. Wang, J. Witek, G. A. Landrum, S. Riniker, J. Chem. Inf. Model. 60, 2044, 2020,
doi:10.1021/acs.jcim.0c00025) in RDKit, relaxed with MMFF94 by RDKit or by OpenMM.
"""

import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom
from rdkit.Chem import rdForceFieldHelpers as force_field

from psigraph.structures.elements import MAX_NUMBER
from psigraph.structures.model import Structure
from psigraph.structures.reading import RowError

logger = logging.getLogger(__name__)

#: Steps after which a relaxation counts as failed.
MAX_STEPS = 10_000


def conformers(smiles: str, count: int = 1, *, relax: str = "mmff", seed: int = 0) -> list[Structure]:
    """Return up to `count` conformers of the molecule, with empty id; the same ones for the same seed.

    `relax` is none, mmff (MMFF94 by RDKit) or openmm (MMFF94 in OpenMM). Where RDKit finds, or relaxes, fewer than
    `count` the log says so. Raises RowError naming the SMILES where it cannot be read, or there are none at all.
    """
    mol = read_smiles(smiles)
    places = _embed(mol, count, seed)
    kept = [n for n in places if _RELAX[relax](mol, n, smiles)]
    if not kept:
        raise RowError(f"smiles {smiles!r}: no conformer converged in {MAX_STEPS} steps; set relax: none")
    if len(kept) < count:
        logger.warning("smiles %s: %d of %d conformers were found", smiles, len(kept), count)
    z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    charge = Chem.GetFormalCharge(mol), 0
    return [
        Structure("", z, mol.GetConformer(n).GetPositions(), np.zeros(len(z)), math.nan, charge=charge) for n in kept
    ]


def read_smiles(smiles: str) -> Chem.Mol:
    """Return the molecule with all hydrogens, without coordinates. Raises RowError naming the SMILES and the remedy."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise RowError(f"smiles {smiles!r} cannot be read as a molecule; correct it")
    unknown = [a.GetSymbol() for a in mol.GetAtoms() if not 1 <= a.GetAtomicNum() <= MAX_NUMBER]
    if unknown:
        raise RowError(f"smiles {smiles!r}: unknown element {unknown[0]!r}; known are the symbols H to Rn")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise RowError(f"smiles {smiles!r} has several parts, whose distances it does not say; give a file instead")
    return Chem.AddHs(mol)


def _embed(mol: Chem.Mol, count: int, seed: int) -> list[int]:
    """Numbers of the conformers found; where none is, the search starts again from random coordinates."""
    parameters: Any = rdDistGeom.ETKDGv3()
    # RDKit seeds conformer n with n times this number, so that of 0 all are the same
    parameters.randomSeed = int(np.random.default_rng(seed).integers(1, 2**20))
    for random in (False, True):
        parameters.useRandomCoords = random
        with rdBase.BlockLogs():
            places = list(rdDistGeom.EmbedMultipleConfs(mol, count, parameters))
        if places:
            return places
    raise RowError(f"smiles {Chem.MolToSmiles(Chem.RemoveHs(mol))!r}: RDKit finds no conformer; give a file instead")


def _as_it_is(mol: Chem.Mol, conformer: int, smiles: str) -> bool:
    return True


def _by_rdkit(mol: Chem.Mol, conformer: int, smiles: str) -> bool:
    """Relax one conformer in place; whether it converged."""
    require_parameters(mol, smiles)
    return force_field.MMFFOptimizeMolecule(mol, maxIters=MAX_STEPS, confId=conformer) == 0


def _by_openmm(mol: Chem.Mol, conformer: int, smiles: str) -> bool:
    from psigraph.structures import openmm_mmff  # slow to import

    require_parameters(mol, smiles)
    return openmm_mmff.relax(mol, conformer, MAX_STEPS)


def require_parameters(mol: Chem.Mol, smiles: str) -> None:
    """Raise RowError where MMFF94 does not know an atom of the molecule."""
    with rdBase.BlockLogs():
        if not force_field.MMFFHasAllMoleculeParams(mol):
            raise RowError(f"smiles {smiles!r}: MMFF94 does not know its atoms; set relax: none, or give a file")


_RELAX: dict[str, Callable[[Chem.Mol, int, str], bool]] = {"none": _as_it_is, "mmff": _by_rdkit, "openmm": _by_openmm}
