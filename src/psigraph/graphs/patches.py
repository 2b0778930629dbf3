"""Molecules cut into connected parts that do not overlap.

Each connected piece becomes a tree: from its root, breadth first. From the leaves inward, an atom takes over what its
children have left, the smallest first, until it has enough atoms; what it does not take over, and every part that is
large enough, is a patch. So a patch is connected, and hydrogens stay with their carbon.
"""

import numpy as np
from scipy.spatial.distance import cdist

from psigraph.graphs.draws import mix
from psigraph.graphs.hops import neighbour_lists

#: What atoms are taken in the order of: rank, sum of distances, number.
Key = tuple[int, float, int]
#: Rounds of refinement: atoms are told apart by what is at most so many bonds away.
_ROUNDS = 24


def patches(
    offsets: np.ndarray, z: np.ndarray, bonds: np.ndarray, patch_atoms: int, positions: np.ndarray | None = None
) -> np.ndarray:
    """Return the patch of each atom (ΣN,), counted in all molecules, by the first atom of each within a molecule.

    offsets (n+1,) of atoms; z (ΣN,); bonds (ΣB, 2); positions (ΣN, 3) [Å]. The choice of roots, parents and of what is
    taken over follows `canonical_ranks`, which elements and bonds decide, not the order of atoms; atoms that ranks do
    not tell apart follow the sum of their distances to all atoms, and without positions their order. A molecule's
    patches do not depend on the others. Raises ValueError for patch_atoms below 1.
    """
    if patch_atoms < 1:
        raise ValueError(f"patch_atoms must be at least 1, got {patch_atoms}")
    ranks = canonical_ranks(z, bonds)
    neighbours, starts = neighbour_lists(len(z), bonds)
    lists = np.split(neighbours, starts[1:-1]) if len(z) else []
    bound = [part.tolist() for part in lists]
    places = np.zeros(len(z)) if positions is None else _places(offsets, positions)
    keys = list(zip(ranks.tolist(), places.tolist(), range(len(z)), strict=True))
    first_atom = np.empty(len(z), dtype=np.int64)
    for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        for part in _parts(range(a, b), bound, keys, patch_atoms):
            first_atom[part] = min(part)
    return np.unique(first_atom, return_inverse=True)[1].reshape(-1)


def _places(offsets: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the sum (ΣN,) of each atom's distances to the atoms of its molecule, in steps of 1e-6 Å."""
    sums = [cdist(part, part).sum(1) for part in np.split(positions, offsets[1:-1])]
    return np.concatenate(sums).round(6) if sums else np.zeros(0)


def canonical_ranks(z: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Return a number (N,) uint64 per atom that elements and bonds around it decide, whatever the order of atoms.

    Refinement of colours (Weisfeiler and Leman, 1968): the hash of an atom's own number and the sum of its neighbours'.
    """
    neighbours, starts = neighbour_lists(len(z), bonds)
    degrees = np.diff(starts)
    ranks = mix(z.astype(np.uint64) * np.uint64(64) + degrees.astype(np.uint64))
    lonely = degrees == 0
    for _ in range(_ROUNDS):
        if not len(neighbours):
            break
        sums = np.zeros(len(z), dtype=np.uint64)
        sums[~lonely] = np.add.reduceat(mix(ranks)[neighbours], starts[:-1][~lonely])
        ranks = mix(ranks * np.uint64(3) + sums)
    return ranks


def _parts(atoms: range, bound: list[list[int]], keys: list[Key], enough: int) -> list[list[int]]:
    """Return the patches of one molecule as lists of atoms."""
    parts: list[list[int]] = []
    seen: set[int] = set()
    for root in sorted(atoms, key=keys.__getitem__):
        if root not in seen:
            order, parent = _tree(root, bound, keys)
            seen.update(order)
            parts += _cut(order, parent, keys, enough)
    return parts


def _tree(root: int, bound: list[list[int]], keys: list[Key]) -> tuple[list[int], dict[int, int]]:
    """Return the atoms connected to a root, breadth first, and the parent of each but the root."""
    order, parent, level = [root], {}, [root]
    seen = {root}
    while level:
        found: list[int] = []
        for atom in level:
            new = [other for other in bound[atom] if other not in seen]
            seen.update(new)
            parent.update(dict.fromkeys(new, atom))
            found += new
        level = sorted(found, key=keys.__getitem__)
        order += level
    return order, parent


def _cut(order: list[int], parent: dict[int, int], keys: list[Key], enough: int) -> list[list[int]]:
    """Return the parts of a tree, whose atoms stand parents first; each part is connected."""
    parts: list[list[int]] = []
    left: dict[int, list[list[int]]] = {}  # by atom: what its children have left
    for atom in reversed(order):
        own = [atom]
        for rest in sorted(left.pop(atom, []), key=lambda rest: (len(rest), keys[rest[0]])):
            if len(own) < enough:
                own += rest
            else:
                parts.append(rest)
        if len(own) >= enough or atom not in parent:
            parts.append(own)
        else:
            left.setdefault(parent[atom], []).append(own)
    return parts
