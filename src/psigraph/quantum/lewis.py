"""The best Lewis structure: which atoms hold cores, lone pairs and two-centre bonds, and the orbitals to begin with.

J. P. Foster, F. Weinhold, J. Am. Chem. Soc. 102, 7211 (1980); A. E. Reed, L. A. Curtiss, F. Weinhold, Chem. Rev. 88,
899 (1988). The search works in the valence natural atomic orbitals:

1. Eigenvectors of the one-atom blocks of the density with at least CERTAIN of a full occupancy are lone pairs.
2. Eigenvectors of two-atom blocks of what is left are bonds, unless two of them want the same hybrid of an atom.
3. What is left then (conjugated pi systems, lone pairs that delocalise) is a small graph: its nodes are the unused
   orbitals of the atoms. Of all ways to place the rest of the electrons as lone pairs and bonds the one with the
   highest occupancy is taken (Foster and Weinhold lower a threshold step by step and repeat the search instead). Within
   TIE of the best the smallest sum of squared formal charges decides, then the occupancy, then the order of the atoms:
   the two Kekule structures of benzene are truly equal, and then bonds that a symmetry of the molecule makes equal get
   different orbitals.

Shapes: V valence NAOs. Occupancies are in units of a full one, 2 electrons for a closed shell, 1 for each spin of an
open one.
"""

from dataclasses import dataclass

import numpy as np

from psigraph.quantum.matching import MIN_ELEMENT, Choice, pair_graphs, share_pairs

#: Occupancy, in units of a full one, from which a lone pair or bond is not questioned: 1.90 of 2 electrons.
CERTAIN = 0.95
#: Bonds are looked for where the squared density between two atoms, full occupancies as unit, exceeds this.
MIN_COUPLING = 0.0125
#: A two-centre orbital with less than this on one of its atoms is a lone pair of the other.
MIN_SHARE = 0.05
#: A bond with less than this on one of its atoms is none.
EMPTY_SHARE = 1e-4
#: Two orbitals want the same hybrid of an atom where the square of the hybrids' overlap exceeds this.
SAME_HYBRID = 0.3
#: ... and the other has at least this times its share on the atom.
SERIOUS = 0.33
#: Hybrids of an atom must be this far from linear dependence (smallest eigenvalue of their overlap matrix).
INDEPENDENT = 0.1
#: Structures whose occupancies differ by less count as equally good.
TIE = 5e-4


@dataclass(frozen=True)
class LewisOrbital:
    """A lone pair (one atom) or a bond (two): a unit vector over the valence NAOs, zero on other atoms."""

    atoms: tuple[int, ...]
    vector: np.ndarray  # (V,)
    occupancy: float  # of `full`


class _Valence:
    """The density in valence NAOs and, per atom, an orthonormal basis of what no Lewis orbital uses yet."""

    def __init__(self, density: np.ndarray, atom: np.ndarray) -> None:
        self.density, self.atom = density, atom
        self.places = {int(a): np.flatnonzero(atom == a) for a in np.unique(atom)}
        self.free = {a: np.eye(len(p)) for a, p in self.places.items()}

    def basis(self, atoms: tuple[int, ...]) -> np.ndarray:
        """Return the unused orbitals of atoms as columns (V, C)."""
        columns = np.zeros((len(self.atom), sum(self.free[a].shape[1] for a in atoms)))
        start = 0
        for a in atoms:
            free = self.free[a]
            columns[self.places[a], start : start + free.shape[1]] = free
            start += free.shape[1]
        return columns

    def eigenvectors(self, atoms: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return occupancies (C,), highest first, and orbitals (V, C) of the unused space of atoms."""
        basis = self.basis(atoms)
        values, vectors = np.linalg.eigh(basis.T @ self.density @ basis)
        return values[::-1], basis @ vectors[:, ::-1]

    def hybrid(self, vector: np.ndarray, atom: int) -> np.ndarray:
        """Return the part of a vector (V,) on an atom, normalised."""
        part = vector[self.places[atom]]
        return part / np.linalg.norm(part)

    def use(self, orbitals: list[LewisOrbital]) -> None:
        """Take the hybrids of orbitals out of the unused space."""
        for a in {a for orbital in orbitals for a in orbital.atoms}:
            used = np.array([self.hybrid(o.vector, a) for o in orbitals if a in o.atoms]).T  # (n, k)
            free = self.free[a]
            left = free.shape[1] - used.shape[1]
            vectors = np.linalg.svd(free.T @ used)[0]
            self.free[a] = free @ vectors[:, vectors.shape[1] - left :]

    def coupled(self) -> list[tuple[int, int]]:
        """Return pairs of atoms a < b whose unused orbitals share density."""
        atoms = [a for a in self.places if self.free[a].shape[1]]
        basis = self.basis(tuple(atoms))
        owner = np.repeat(np.arange(len(atoms)), [self.free[a].shape[1] for a in atoms])
        one = np.eye(len(atoms))[owner]  # (C, atoms)
        strength = one.T @ (basis.T @ self.density @ basis) ** 2 @ one
        return [(atoms[i], atoms[j]) for i, j in np.argwhere(np.triu(strength, 1) > MIN_COUPLING)]


def lewis_structure(
    density: np.ndarray, atom: np.ndarray, pairs: int, electrons: np.ndarray
) -> tuple[LewisOrbital, ...]:
    """Return `pairs` lone pairs and bonds that hold as much of the density as possible.

    `density` (V, V) in valence NAOs, in units of a full occupancy; `atom` (V,) their atoms; `electrons` (N,) valence
    electrons of the neutral atoms, for formal charges. Fewer where the valence NAOs cannot hold so many (a triplet
    helium atom).
    """
    valence = _Valence(density, atom)
    found = _certain(_lone_pairs(valence), pairs)
    valence.use(found)
    bonds = _certain(_undisputed(valence, _bonds(valence)), pairs - len(found))
    valence.use(bonds)
    found += bonds
    if pairs > len(found):
        placed = np.zeros(len(electrons))
        for orbital in found:
            placed[list(orbital.atoms)] += 2 / len(orbital.atoms)
        found += _resolve(valence, pairs - len(found), electrons - placed)
    return tuple(found)


def _certain(orbitals: list[LewisOrbital], pairs: int) -> list[LewisOrbital]:
    """Return the `pairs` fullest of some orbitals."""
    return sorted(orbitals, key=lambda orbital: -orbital.occupancy)[: max(pairs, 0)]


def _lone_pairs(valence: _Valence) -> list[LewisOrbital]:
    found = []
    for a in valence.places:
        values, vectors = valence.eigenvectors((a,))
        found += [LewisOrbital((a,), vectors[:, k], float(values[k])) for k in np.flatnonzero(values > CERTAIN)]
    return found


def _bonds(valence: _Valence) -> list[LewisOrbital]:
    found = []
    for pair in valence.coupled():
        values, vectors = valence.eigenvectors(pair)
        for k in np.flatnonzero(values > CERTAIN):
            share = np.sum(vectors[valence.places[pair[0]], k] ** 2)
            if MIN_SHARE < share < 1 - MIN_SHARE:
                found.append(LewisOrbital(pair, vectors[:, k], float(values[k])))
    return found


def _undisputed(valence: _Valence, bonds: list[LewisOrbital]) -> list[LewisOrbital]:
    """Return the bonds that share no hybrid of an atom with another, and whose hybrids are independent.

    A lone pair of a neighbour that delocalises a little to the atom looks like a bond, too, but disputes nothing.
    """
    disputed: set[int] = set()
    for a in valence.places:
        mine = [i for i, bond in enumerate(bonds) if a in bond.atoms]
        if not mine:
            continue
        hybrids = np.array([valence.hybrid(bonds[i].vector, a) for i in mine])
        share = np.array([np.sum(bonds[i].vector[valence.places[a]] ** 2) for i in mine])
        overlap = hybrids @ hybrids.T
        same = (overlap**2 > SAME_HYBRID) & ~np.eye(len(mine), dtype=bool)
        rivals = (same & (share > SERIOUS * share[:, None])).any(axis=1)
        disputed |= {i for i, rival in zip(mine, rivals, strict=True) if rival}
        kept = np.flatnonzero(~rivals)
        if len(kept) and np.linalg.eigvalsh(overlap[np.ix_(kept, kept)])[0] < INDEPENDENT:
            disputed |= set(mine)
    return [bond for i, bond in enumerate(bonds) if i not in disputed]


def _resolve(valence: _Valence, pairs: int, electrons: np.ndarray) -> list[LewisOrbital]:
    """Place the last `pairs` pairs on the unused orbitals; `electrons` (N,) neutral atoms still lack."""
    if not any(free.shape[1] for free in valence.free.values()):
        return []
    nodes, owner = _nodes(valence)
    block = nodes.T @ valence.density @ nodes  # (C, C)
    graphs = pair_graphs(block, owner, MIN_SHARE)
    shares = share_pairs([graph.best() for graph, _ in graphs], pairs)
    chosen: list[tuple[float, tuple[int, ...]]] = []
    for (graph, members), share in zip(graphs, shares, strict=True):
        answers = graph.answers(share, TIE)
        value, answer = min(answers, key=lambda a: _rank(a, [int(owner[m]) for m in members], electrons))
        chosen += [
            (
                graph.edges[choice] if len(choice) == 2 else graph.alone[choice[0]],
                tuple(sorted(int(owner[members[node]]) for node in choice)),
            )
            for choice in answer
        ]
    # bonds first, strongest first
    order = [atoms for _, atoms in sorted(chosen, key=lambda c: (-len(c[1]), -c[0], c[1]))]
    free = dict(valence.free)
    attempts = []
    for orbitals_of in (_one_by_one, _together):
        valence.free = dict(free)
        attempts.append(orbitals_of(valence, order))
    return max(attempts, key=lambda orbitals: _captured(valence, orbitals))


def _one_by_one(valence: _Valence, order: list[tuple[int, ...]]) -> list[LewisOrbital]:
    """Return orbitals on the given atoms, each the fullest of what the ones before it left."""
    orbitals = []
    for atoms in order:
        values, vectors = valence.eigenvectors(atoms)
        vector = _two_sided(valence, vectors, atoms)
        shares = [float(np.sum(vector[valence.places[a]] ** 2)) for a in atoms]
        if min(shares) < EMPTY_SHARE:  # no bond can be had any more
            atoms = (atoms[int(np.argmax(shares))],)
            values, vectors = valence.eigenvectors(atoms)
            vector = vectors[:, 0]
        orbitals.append(LewisOrbital(atoms, vector, float(values[0])))
        valence.use(orbitals[-1:])
    return orbitals


def _together(valence: _Valence, order: list[tuple[int, ...]]) -> list[LewisOrbital]:
    """Return orbitals on the given atoms, the bonds without regard to each other; none where they then coincide.

    Better for sigma bonds of one atom, of which the first would else take the best hybrid.
    """
    bonds = []
    for atoms in dict.fromkeys(atoms for atoms in order if len(atoms) == 2):
        values, vectors = valence.eigenvectors(atoms)
        for k in range(order.count(atoms)):
            bonds.append(LewisOrbital(atoms, vectors[:, k], float(values[k])))
    for a in {a for bond in bonds for a in bond.atoms}:
        hybrids = np.array([valence.hybrid(bond.vector, a) for bond in bonds if a in bond.atoms])
        if np.linalg.eigvalsh(hybrids @ hybrids.T)[0] < INDEPENDENT:
            return []
    valence.use(bonds)
    return bonds + _one_by_one(valence, [atoms for atoms in order if len(atoms) == 1])


def _captured(valence: _Valence, orbitals: list[LewisOrbital]) -> float:
    """Return how much of the density is in orbitals once the hybrids of each atom are orthonormal."""
    if not orbitals:
        return 0.0
    parts = [np.where(valence.atom == a, o.vector, 0.0) for o in orbitals for a in o.atoms]
    hybrids = np.array([part / np.linalg.norm(part) for part in parts]).T
    values, vectors = np.linalg.eigh(hybrids.T @ hybrids)
    hybrids = hybrids @ ((vectors / np.sqrt(values)) @ vectors.T)
    block = hybrids.T @ valence.density @ hybrids
    total, start = 0.0, 0
    for orbital in orbitals:
        mine = slice(start, start + len(orbital.atoms))
        total += float(np.linalg.eigvalsh(block[mine, mine])[-1])
        start += len(orbital.atoms)
    return total


def _two_sided(valence: _Valence, vectors: np.ndarray, atoms: tuple[int, ...]) -> np.ndarray:
    """Return the first of the orbitals (V, C) with a share on every atom, the very first if there is none."""
    for k in range(vectors.shape[1]):
        if all(np.sum(vectors[valence.places[a], k] ** 2) > MIN_SHARE / 2 for a in atoms):
            return vectors[:, k]
    return vectors[:, 0]


def _rank(answer: tuple[float, tuple[Choice, ...]], owner: list[int], electrons: np.ndarray) -> tuple:
    """Return what the best answer has least of: squared formal charges, then missing occupancy, then atom numbers."""
    value, choices = answer
    charge = {a: float(electrons[a]) for a in owner}
    for choice in choices:
        for node in choice:
            charge[owner[node]] -= 2 / len(choice)
    atoms = sorted(tuple(sorted(owner[node] for node in choice)) for choice in choices)
    return round(sum(q * q for q in charge.values()), 6), -round(value, 7), atoms


def _nodes(valence: _Valence) -> tuple[np.ndarray, np.ndarray]:
    """Return unused orbitals (V, C) of all atoms, by occupancy within an atom, and their atoms (C,).

    Equally occupied orbitals of an atom (the two pi orbitals of a linear molecule) are turned to match a neighbour's.
    """
    frames: dict[int, np.ndarray] = {}
    for a in valence.places:
        if not valence.free[a].shape[1]:
            continue
        values, vectors = valence.eigenvectors((a,))
        if len(values) == 2 and values[0] - values[1] < MIN_ELEMENT:
            for other in frames.values():
                coupling = vectors.T @ valence.density @ other
                if other.shape[1] == 2 and np.sum(coupling**2) > MIN_COUPLING:
                    left, _, right = np.linalg.svd(coupling)
                    vectors = vectors @ left @ right
                    break
        frames[a] = vectors
    owner = np.repeat(list(frames), [frame.shape[1] for frame in frames.values()])
    return np.concatenate(list(frames.values()), axis=1), owner
