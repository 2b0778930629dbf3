"""Separation and angle of two monomers, and bonds by distance. Uses only NumPy: the graphs stage imports it too."""

from typing import NamedTuple

import numpy as np

from psigraph.structures.elements import COVALENT_RADII, MASSES

#: Two principal moments that differ by less than this, relative to the largest, count as degenerate.
DEGENERACY = 1e-3
#: Two atoms are bonded up to this times the sum of their covalent radii (RDKit's default, too).
BOND_TOLERANCE = 1.3


class DimerGeometry(NamedTuple):
    """How two monomers stand to each other."""

    separation: float  # Å
    theta: float  # rad, in [0, pi/2]; 0 where it is not defined
    theta_defined: bool


def center_of_mass(z: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the centre of mass (3,) [Å] of atoms `z` (N,) at `positions` (N, 3)."""
    masses = MASSES[z]
    return masses @ positions / masses.sum()


def principal_axis(z: np.ndarray, positions: np.ndarray, tolerance: float = DEGENERACY) -> np.ndarray | None:
    """Return the unit vector (3,) of a monomer's non-degenerate principal axis of inertia, None where none is unique.

    With moments I1 <= I2 <= I3, an axis is unique when its moment differs from its neighbour's by more than `tolerance`
    times I3. The axis of I3 is taken where it is unique: the plane normal of a planar molecule, the figure axis of an
    oblate top, and one fixed choice of the three for an asymmetric top. Otherwise the axis of I1 where that is unique:
    the axis of a linear molecule or of a prolate top. An atom and a spherical top (methane) have none. The sign is
    arbitrary.
    """
    if len(z) < 2:
        return None
    masses = MASSES[z]
    r = positions - center_of_mass(z, positions)  # (N, 3)
    second_moments = (masses[:, None] * r).T @ r  # (3, 3)
    inertia = np.trace(second_moments) * np.eye(3) - second_moments
    moments, axes = np.linalg.eigh(inertia)  # ascending; axes in columns
    if moments[2] <= 0:
        return None
    if moments[2] - moments[1] > tolerance * moments[2]:
        return axes[:, 2]
    if moments[1] - moments[0] > tolerance * moments[2]:
        return axes[:, 0]
    return None


def dimer_geometry(z: np.ndarray, positions: np.ndarray, fragment: np.ndarray) -> DimerGeometry:
    """Return separation and angle of the two monomers; rotations, translations and the order of atoms change neither.

    `separation` is the distance between the centres of mass; `theta` the angle between the monomers' principal axes
    (`principal_axis`), folded into [0, pi/2] because an axis has no sign. Without an axis on either side theta is 0 and
    `theta_defined` False. Arrays: z (N,), positions (N, 3) [Å], fragment (N,) with 0 and 1.
    """
    a, b = fragment == 0, fragment == 1
    if not a.any() or not b.any():
        raise ValueError("a dimer needs atoms in fragment 0 and in fragment 1")
    separation = float(np.linalg.norm(center_of_mass(z[a], positions[a]) - center_of_mass(z[b], positions[b])))
    axes = principal_axis(z[a], positions[a]), principal_axis(z[b], positions[b])
    if axes[0] is None or axes[1] is None:
        return DimerGeometry(separation, 0.0, False)
    # atan2 keeps full precision for parallel axes, where arccos loses half of the digits
    sine, cosine = np.linalg.norm(np.cross(axes[0], axes[1])), abs(axes[0] @ axes[1])
    return DimerGeometry(separation, float(np.arctan2(sine, cosine)), True)


def distance_matrix(positions: np.ndarray) -> np.ndarray:
    """Return all distances (N, N) [Å]."""
    return np.linalg.norm(positions[:, None] - positions[None, :], axis=-1)


def bonds(z: np.ndarray, positions: np.ndarray, tolerance: float = BOND_TOLERANCE) -> np.ndarray:
    """Return bonded pairs (P, 2), i < j: distance at most `tolerance` times the sum of the covalent radii.

    Two hydrogens count as bonded only where neither has another partner: in crowded geometries of protein fragments two
    of them come within 0.8 Å.
    """
    radii = COVALENT_RADII[z]
    bonded = distance_matrix(positions) <= tolerance * (radii[:, None] + radii[None, :])
    np.fill_diagonal(bonded, False)
    hydrogen = z == 1
    attached = bonded[:, ~hydrogen].any(axis=1)  # (N,)
    bonded &= ~(hydrogen[:, None] & hydrogen[None, :] & (attached[:, None] | attached[None, :]))
    return np.argwhere(np.triu(bonded, k=1))


def components(n: int, pairs: np.ndarray) -> np.ndarray:
    """Return a label (n,) per atom, equal within a connected component; labels count up in order of first atom."""
    labels = np.arange(n)
    for i, j in pairs:
        low, high = sorted((labels[i], labels[j]))
        labels[labels == high] = low
    return np.unique(labels, return_inverse=True)[1]
