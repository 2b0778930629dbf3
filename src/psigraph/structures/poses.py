"""Whether a ligand can stand where it does in its protein."""

import numpy as np
from scipy.spatial import cKDTree

from psigraph.structures.complexes import Protein
from psigraph.structures.elements import COVALENT_RADII, SYMBOLS, symbol_of
from psigraph.structures.protein_atoms import ION_CHARGES
from psigraph.structures.proteins import ReadProtein
from psigraph.structures.reading import OWN, RowError

#: Two atoms nearer than the sum of their covalent radii and this are as near as a bond [Å].
BOND_MARGIN = 0.2
#: How far the ligand may be from an atom that a LINK record ties to it [Å].
LINK_LENGTH = 2.5
#: What metals and halides are coordinated at is no bond's distance between two molecules.
_IONS = np.array([symbol in ION_CHARGES and symbol not in ("F", "Cl", "Br", "I") for symbol in SYMBOLS])


def check_pose(
    z: np.ndarray, positions: np.ndarray, read: ReadProtein, *, min_contact: float, max_distance: float
) -> None:
    """Raise RowError where the ligand lies outside the protein's pocket, clashes with it, or is bound covalently.

    Compared are atoms other than hydrogen: `z` (N,) and `positions` (N, 3) [Å] of the ligand with the protein's. It is
    outside where its nearest distance is above `max_distance`, and clashes where it is below `min_contact` [Å].
    """
    heavy = np.flatnonzero(z > 1)
    protein = read.protein
    tree = cKDTree(protein.positions)
    distances, nearest = tree.query(positions[heavy])
    closest = int(np.argmin(distances))
    if distances[closest] > max_distance:
        raise RowError(
            f"outside the pocket{OWN}nearest atom of the protein is {distances[closest]:.1f} Å away, more than "
            f"max_distance {max_distance:g}; are both in the same coordinates?"
        )
    linked = [
        n for n in read.linked if np.linalg.norm(positions[heavy] - protein.positions[n], axis=1).min() < LINK_LENGTH
    ]
    if linked:
        raise RowError(f"covalent ligand: a LINK record ties it to {_name(protein, linked[0])}")
    reach = COVALENT_RADII[z].max() + COVALENT_RADII[protein.z].max() + BOND_MARGIN
    near = tree.query_ball_point(positions[heavy], max(reach, min_contact))
    pairs = [(i, j) for i, others in zip(heavy, near, strict=True) for j in others]
    lengths = [float(np.linalg.norm(positions[i] - protein.positions[j])) for i, j in pairs]
    for n in np.argsort(lengths, kind="stable"):
        _check_pair(z[pairs[n][0]], pairs[n][0], lengths[n], protein, pairs[n][1], min_contact)


def _check_pair(element: int, atom: int, distance: float, protein: Protein, other: int, min_contact: float) -> None:
    """Raise RowError where two atoms are too near."""
    where = f"{symbol_of(element)}{atom + 1} is {distance:.2f} Å from {_name(protein, other)}"
    bond = COVALENT_RADII[element] + COVALENT_RADII[protein.z[other]]
    metal = _IONS[element] or _IONS[protein.z[other]]
    if not metal and abs(distance - bond) <= BOND_MARGIN:
        raise RowError(f"covalent ligand, or a pose that clashes{OWN}atom {where}, the distance of a bond")
    if distance < min_contact:
        raise RowError(f"clash{OWN}atom {where}, nearer than min_contact {min_contact:g}")


def _name(protein: Protein, atom: int) -> str:
    return f"{protein.residue_names[protein.residue[atom]]} {symbol_of(protein.z[atom])}"
