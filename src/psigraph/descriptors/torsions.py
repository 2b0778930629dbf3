"""Torsion about bonds as a smooth feature."""

import numpy as np


def dihedral(z: np.ndarray, positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Return the mean of sin(a) sin(b) (cos(phi), sin(phi)) over further neighbours k of i and l of j (P, 2).

    phi is the torsion angle k-i-j-l (IUPAC: clockwise is positive), a and b the bond angles k-i-j and i-j-l; weights
    are the products of atomic numbers. The sines let a neighbour on the bond's line, whose torsion is not defined, drop
    out smoothly. 0, 0 where an end has no further neighbour. `z` (N,), `positions` (N, 3) [Å], `bonds` (P, 2).

    A torsion is the angle between the parts of two neighbours' directions that are perpendicular to the bond, so the
    mean over pairs is a product of two means: with p, q these means of the ends and e the bond's direction, it is
    (p.q, e.(p x q)).
    """
    result = np.zeros((len(bonds), 2))
    neighbours: list[list[int]] = [[] for _ in range(len(z))]
    for i, j in bonds:
        neighbours[i].append(int(j))
        neighbours[j].append(int(i))
    for row, (i, j) in enumerate(bonds):
        axis = positions[j] - positions[i]
        axis = axis / np.linalg.norm(axis)
        p = _perpendicular(z, positions, int(i), [k for k in neighbours[i] if k != j], axis)
        q = _perpendicular(z, positions, int(j), [k for k in neighbours[j] if k != i], axis)
        result[row] = p @ q, axis @ np.cross(p, q)
    return result


def _perpendicular(z: np.ndarray, positions: np.ndarray, i: int, others: list[int], axis: np.ndarray) -> np.ndarray:
    """Mean direction (3,) from atom i to `others`, weighted by atomic number, without its part along `axis`."""
    if not others:
        return np.zeros(3)
    vectors = positions[others] - positions[i]
    mean = z[others] @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) / z[others].sum()
    return mean - (mean @ axis) * axis
