"""Identical geometries: the same dimer (or molecule) that stands in two databases, or twice in one, is used once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.spatial.distance import pdist

from psigraph.structures.model import Structure

#: Two geometries are identical when no interatomic distance differs by more than this [Å].
TOLERANCE = 1e-3


def find_duplicates(structures: Sequence[Structure], tolerance: float = TOLERANCE) -> dict[int, int]:
    """Return {index of a repeated structure: index of the first one like it}.

    Compared are all interatomic distances, sorted within each kind of pair (the two elements, same monomer or not), of
    structures with the same atoms, charges and multiplicities. Rotation, translation, the order of atoms and of the two
    monomers do not matter, and a mirror image counts as identical: it has the same energies. `tolerance` is per
    distance [Å].
    """
    buckets: dict[tuple, list[int]] = defaultdict(list)
    for i, s in enumerate(structures):
        buckets[_composition(s)].append(i)
    found: dict[int, int] = {}
    for members in buckets.values():
        if len(members) > 1:
            found.update(_within(structures, members, tolerance))
    return dict(sorted(found.items()))


def find_repeated_ligands(structures: Sequence[Structure]) -> dict[int, int]:
    """Return {index of a complex: index of the first one with the same ligand and protein}, whatever their poses."""
    first: dict[tuple[str, str], int] = {}
    found: dict[int, int] = {}
    for i, s in enumerate(structures):
        assert s.binding is not None
        kept = first.setdefault((s.binding.smiles, s.binding.protein.id), i)
        if kept != i:
            found[i] = kept
    return found


def _composition(s: Structure) -> tuple:
    """What must be equal before distances are compared; the order of the two monomers does not enter."""
    return tuple(sorted((tuple(sorted(s.monomer(m)[0].tolist())), s.charge[m], s.multiplicity[m]) for m in (0, 1)))


def _within(structures: Sequence[Structure], members: list[int], tolerance: float) -> dict[int, int]:
    """Duplicates among structures of one composition: of equal ones the first is kept."""
    equal: dict[int, list[int]] = defaultdict(list)
    vectors: dict[int, np.ndarray] = {}
    for i, j in _neighbours(structures, members, tolerance):
        for index in (i, j):
            if index not in vectors:
                vectors[index] = _signature(structures[index])
        if np.abs(vectors[i] - vectors[j]).max(initial=0.0) <= tolerance:
            equal[j].append(i)
    found: dict[int, int] = {}
    for j in sorted(equal):
        kept = [i for i in equal[j] if i not in found]
        if kept:
            found[j] = min(kept)
    return found


def _neighbours(structures: Sequence[Structure], members: list[int], tolerance: float) -> Iterator[tuple[int, int]]:
    """Pairs i < j of members that can be identical: their mean distances differ by at most `tolerance`."""
    means = np.array([_mean_distance(structures[m]) for m in members])
    order = np.argsort(means, kind="stable")
    for rank, first in enumerate(order):
        for second in order[rank + 1 :]:
            if means[second] - means[first] > tolerance:
                break
            low, high = sorted((members[first], members[second]))
            yield low, high


def _mean_distance(s: Structure) -> float:
    """Mean of all distances [Å]; 0 of a single atom."""
    return float(pdist(s.positions).mean()) if s.n_atoms > 1 else 0.0


def _signature(s: Structure) -> np.ndarray:
    """All distances (N(N-1)/2,), sorted by kind of pair and then by length."""
    i, j = np.triu_indices(s.n_atoms, k=1)
    d = pdist(s.positions)  # in the order of i, j
    low, high = np.minimum(s.z[i], s.z[j]), np.maximum(s.z[i], s.z[j])
    return d[np.lexsort((d, s.fragment[i] != s.fragment[j], high, low))]
