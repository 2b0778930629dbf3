"""Identical geometries: the same dimer that stands in two databases, or twice in one, is used once."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from psigraph.structures.geometry import distance_matrix
from psigraph.structures.model import Structure

#: Two geometries are identical when no interatomic distance differs by more than this [Å].
TOLERANCE = 1e-3


def find_duplicates(structures: Sequence[Structure], tolerance: float = TOLERANCE) -> dict[int, int]:
    """Return {index of a repeated structure: index of the first one like it}.

    Compared are all interatomic distances, sorted within each kind of pair (the two elements, same monomer or not), of
    dimers with the same atoms, charges and multiplicities. Rotation, translation, the order of atoms and of the two
    monomers do not matter, and a mirror image counts as identical: it has the same energies. `tolerance` is per distance
    [Å].
    """
    buckets: dict[tuple, list[int]] = defaultdict(list)
    for i, s in enumerate(structures):
        buckets[_composition(s)].append(i)
    found: dict[int, int] = {}
    for members in buckets.values():
        if len(members) > 1:
            found.update(_within(structures, members, tolerance))
    return dict(sorted(found.items()))


def _composition(s: Structure) -> tuple:
    """What must be equal before distances are compared; the order of the two monomers does not enter."""
    return tuple(sorted((tuple(sorted(s.monomer(m)[0].tolist())), s.charge[m], s.multiplicity[m]) for m in (0, 1)))


def _within(structures: Sequence[Structure], members: list[int], tolerance: float) -> dict[int, int]:
    """Duplicates among dimers of one composition.

    The mean distance moves by at most `tolerance` between identical geometries, so only neighbours in the order of
    means are compared in full.
    """
    means = np.array([distance_matrix(structures[i].positions).sum() for i in members])
    n = structures[members[0]].n_atoms
    means /= max(n * (n - 1), 1)
    order = np.argsort(means, kind="stable")
    found: dict[int, int] = {}
    vectors: dict[int, np.ndarray] = {}
    for rank, position in enumerate(order):
        for other in order[rank + 1 :]:
            if means[other] - means[position] > tolerance:
                break
            i, j = sorted((members[position], members[other]))
            if j in found:
                continue
            for index in (i, j):
                if index not in vectors:
                    vectors[index] = _signature(structures[index])
            if np.abs(vectors[i] - vectors[j]).max(initial=0.0) <= tolerance:
                found[j] = i
    return {j: _first(i, found) for j, i in found.items()}


def _first(i: int, found: dict[int, int]) -> int:
    while i in found:
        i = found[i]
    return i


def _signature(s: Structure) -> np.ndarray:
    """All distances (N(N-1)/2,), sorted by kind of pair and then by length."""
    i, j = np.triu_indices(s.n_atoms, k=1)
    d = distance_matrix(s.positions)[i, j]
    low, high = np.minimum(s.z[i], s.z[j]), np.maximum(s.z[i], s.z[j])
    return d[np.lexsort((d, s.fragment[i] != s.fragment[j], high, low))]
