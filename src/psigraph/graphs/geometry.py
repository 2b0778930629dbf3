"""Centroids, sizes, separations and angles of many structures at once; `structures.geometry` says what they are.

Sums run over the atoms of a structure in their order, so that no number depends on what else is in the arrays. Legend:
n structures, ΣN atoms of all, offsets (n+1,).
"""

import numpy as np

from psigraph.structures.elements import MASSES
from psigraph.structures.geometry import DEGENERACY


def sums(values: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """Return the sums (n, ...) of rows of `values` (m, ...) by `owner` (m,)."""
    flat = values.reshape(len(values), int(np.prod(values.shape[1:])))
    columns = [np.bincount(owner, weights=column, minlength=n) for column in flat.T]
    return np.stack(columns, axis=1).reshape(n, *values.shape[1:])


def owners(offsets: np.ndarray) -> np.ndarray:
    """Return the structure of each atom (ΣN,)."""
    return np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))


def centroids(positions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the unweighted centroids (n, 3) of positions (ΣN, 3); NaN without atoms."""
    with np.errstate(invalid="ignore"):
        return sums(positions, owners(offsets), len(offsets) - 1) / np.diff(offsets)[:, None]


def farthest(positions: np.ndarray, offsets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return how far (n,) the farthest atom of each structure is from its point (n, 3); 0 without atoms."""
    filled = np.diff(offsets) > 0
    result = np.zeros(len(filled))
    if filled.any():
        distances = np.linalg.norm(positions - points[owners(offsets)], axis=1)
        result[filled] = np.maximum.reduceat(distances, offsets[:-1][filled])
    return result


def dimer_geometries(
    z: np.ndarray, positions: np.ndarray, fragment: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return separation [Å], theta [rad] and whether theta is defined, (n,) each, of atoms (ΣN,) and (ΣN, 3) [Å].

    What `structures.geometry.dimer_geometry` returns for each dimer; 0, 0 and False for a molecule; NaN without masses.
    """
    n = len(offsets) - 1
    monomer = 2 * owners(offsets) + (fragment == 1)  # (ΣN,)
    masses = MASSES[z]
    counts = np.bincount(monomer, minlength=2 * n).reshape(n, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        centres = sums(masses[:, None] * positions, monomer, 2 * n) / sums(masses, monomer, 2 * n)[:, None]
        difference = centres[0::2] - centres[1::2]  # (n, 3)
        separation = np.sqrt((difference * difference).sum(axis=1))
        axes, unique = _principal_axes(masses, positions - centres[monomer], monomer, 2 * n)
    has_axis = unique & (counts.reshape(-1) > 1)  # (2n,)
    defined = has_axis[0::2] & has_axis[1::2]
    a, b = axes[0::2], axes[1::2]
    cross, dot = np.linalg.norm(np.cross(a, b), axis=1), np.abs((a * b).sum(axis=1))
    theta = np.where(defined, np.arctan2(cross, dot), 0.0)
    theta[~np.isfinite(separation)] = np.nan
    dimer = (counts > 0).all(axis=1)
    return np.where(dimer, separation, 0.0), np.where(dimer, theta, 0.0), defined


def _principal_axes(masses: np.ndarray, r: np.ndarray, owner: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal axes (n, 3) of atoms at `r` (m, 3) from their centres, and which of them are unique (n,)."""
    weighted = masses[:, None] * r
    moments = np.empty((n, 3, 3))
    for a in range(3):
        for b in range(a, 3):
            moments[:, a, b] = moments[:, b, a] = np.bincount(owner, weights=weighted[:, a] * r[:, b], minlength=n)
    inertia = np.trace(moments, axis1=1, axis2=2)[:, None, None] * np.eye(3) - moments
    known = np.isfinite(inertia).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], inertia, 0.0))  # ascending; axes in columns
    tolerance = DEGENERACY * values[:, 2]
    last, first = values[:, 2] - values[:, 1] > tolerance, values[:, 1] - values[:, 0] > tolerance
    axes = np.where(last[:, None], vectors[:, :, 2], vectors[:, :, 0])
    return axes, known & (values[:, 2] > 0) & (last | first)
