"""R and S of stereocentres, from positions: RDKit's new CIP algorithm.

R. M. Hanson, S. Musacchio, J. W. Mayfield, M. J. Vainio, A. Yerin, D. Redkin, J. Chem. Inf. Model. 58, 1755 (2018).
"""

from dataclasses import dataclass

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdCIPLabeler
from rdkit.Geometry import Point3D

from psigraph.descriptors.perception import Lewis

#: Steps of the labelling algorithm before the rest is left unlabelled.
_MAX_STEPS = 100_000


@dataclass(frozen=True)
class Chirality:
    """Labels (N,) 1 R, -1 S, 0 otherwise, and the numbers of centres R, S and neither (r and s included)."""

    labels: np.ndarray
    counts: tuple[int, int, int]


def chirality(lewis: Lewis, positions: np.ndarray) -> Chirality:
    """Return the labels of a molecule at `positions` (N, 3) [Å], in the order of the atoms of `lewis`.

    r and s (pseudo-asymmetric centres) do not change in a mirror and count as not labelled.
    """
    mol = Chem.Mol(lewis.mol)
    n = mol.GetNumAtoms()
    labels = np.zeros(n, dtype=np.int64)
    if n < 4 or lewis.failure:
        return Chirality(labels, (0, 0, 0))
    conformer = Chem.Conformer(n)
    for i, position in enumerate(np.asarray(positions, dtype=float)):
        conformer.SetAtomPosition(i, Point3D(*position))
    mol.AddConformer(conformer)
    with rdBase.BlockLogs():
        Chem.AssignStereochemistryFrom3D(mol, replaceExistingTags=True)
        centres = [
            info.centeredOn
            for info in Chem.FindPotentialStereo(mol, cleanIt=False)
            if info.type == Chem.StereoType.Atom_Tetrahedral and not _equal_neighbours(lewis, mol, info.centeredOn)
        ]
        try:
            rdCIPLabeler.AssignCIPLabels(mol, maxRecursiveIterations=_MAX_STEPS)
        except RuntimeError:  # too many steps: labels found so far are order-dependent, so none counts
            return Chirality(labels, (0, 0, len(centres)))
    for i in centres:
        atom = mol.GetAtomWithIdx(i)
        code = atom.GetProp("_CIPCode") if atom.HasProp("_CIPCode") else ""
        labels[i] = {"R": 1, "S": -1}.get(code, 0)
    right, left = int((labels == 1).sum()), int((labels == -1).sum())
    return Chirality(labels, (right, left, len(centres) - right - left))


def _equal_neighbours(lewis: Lewis, mol: Chem.Mol, i: int) -> bool:
    """Whether two neighbours differ only in how the Lewis structure was drawn, as the oxygens of a phosphate do."""
    seen: dict[int, tuple] = {}
    for bond in mol.GetAtomWithIdx(i).GetBonds():
        other = bond.GetOtherAtom(mol.GetAtomWithIdx(i))
        drawn = (bond.GetBondType(), other.GetFormalCharge())
        if seen.setdefault(int(lewis.classes[other.GetIdx()]), drawn) != drawn:
            return True
    return False
