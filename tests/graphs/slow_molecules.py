"""Graphs of one molecule the slow, obvious way: loops over atoms, sets and dictionaries."""

from collections import deque
from itertools import combinations

import numpy as np

from psigraph.descriptors.radii import VDW_RADII
from psigraph.structures.geometry import bonds as bonds_of


def hops_from(start: int, bonds: np.ndarray) -> dict[int, int]:
    """Return the fewest bonds to every atom that can be reached."""
    found, queue = {start: 0}, deque([start])
    while queue:
        atom = queue.popleft()
        for i, j in bonds.tolist():
            for a, b in ((i, j), (j, i)):
                if a == atom and b not in found:
                    found[b] = found[atom] + 1
                    queue.append(b)
    return found


def all_hops(n: int, bonds: np.ndarray) -> np.ndarray:
    """Return the fewest bonds between any two atoms (n, n), -1 where none lead."""
    result = np.full((n, n), -1)
    for a in range(n):
        for b, count in hops_from(a, bonds).items():
            result[a, b] = count
    return result


def regions_around(n: int, bonds: np.ndarray, hops: int) -> list[tuple[set[int], set[int]]]:
    """Return atoms and core of the region of every atom."""
    return [({b for b, count in hops_from(a, bonds).items() if count <= hops}, {a}) for a in range(n)]


def as_regions(members: np.ndarray, core: np.ndarray) -> list[tuple[set[int], set[int]]]:
    """Return atoms and core of every region from lists of members."""
    count = int(members[:, 0].max()) + 1
    return [
        (
            set(members[members[:, 0] == r, 1].tolist()),
            set(members[(members[:, 0] == r) & core, 1].tolist()),
        )
        for r in range(count)
    ]


def region_features(z, positions, regions, values) -> np.ndarray:
    """Return size, chirality, torsion, resonance, steric, charge, polarisation and density of every region."""
    bonds = bonds_of(z, positions)
    rows = []
    for atoms, core in regions:
        atoms = sorted(atoms)
        inner = [k for k, (i, j) in enumerate(bonds) if i in atoms and j in atoms]
        centre = np.mean([positions[a] for a in core], axis=0)
        charge = values["npa_charge"]
        order = values["resonance_order"]
        rows.append(
            [
                len(atoms),
                abs(sum(values["cip_label"][a] for a in atoms)),
                sum(abs(values["cip_label"][a]) for a in atoms),
                sum(values["dihedral"][k, 0] for k in inner),
                abs(sum(values["dihedral"][k, 1] for k in inner)),
                sum(min(abs(order[k] - whole) for whole in range(-9, 9)) for k in inner),
                sum(values["buried_volume"][a] for a in atoms),
                sum(charge[a] for a in atoms),
                np.linalg.norm(sum(charge[a] * (positions[a] - centre) for a in atoms)),
                sum(values["midpoint_density"][k] for k in inner),
            ]
        )
    return np.array(rows, dtype=float)


def region_pairs(z, positions, regions, labels, cutoff) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of regions within the cutoff (Q, 2) and their features (Q, 5)."""
    bonds = bonds_of(z, positions)
    hops = all_hops(len(z), bonds)
    centres = [np.mean([positions[a] for a in sorted(core)], axis=0) for _, core in regions]
    pairs, rows = [], []
    for first, second in combinations(range(len(regions)), 2):
        if np.linalg.norm(centres[first] - centres[second]) > cutoff:
            continue
        (a_atoms, a_core), (b_atoms, b_core) = regions[first], regions[second]
        connected = [hops[a, b] for a in a_core for b in b_core if hops[a, b] >= 0]
        steric = 0.0
        for a in sorted(a_atoms - b_atoms):
            for b in sorted(b_atoms - a_atoms):
                if 0 <= hops[a, b] <= 2:
                    continue
                distance = np.linalg.norm(positions[a] - positions[b])
                steric += max(0.0, 1 - distance / (VDW_RADII[z[a]] + VDW_RADII[z[b]]))
        joining = [(i, j) for i, j in bonds if (i in a_atoms and j in b_atoms) or (j in a_atoms and i in b_atoms)]
        chirality = sum(labels[a] for a in a_atoms) * sum(labels[b] for b in b_atoms)
        pairs.append((first, second))
        rows.append(
            [min(connected) if connected else -1, len(a_atoms & b_atoms), len(joining), steric, float(chirality)]
        )
    return np.array(pairs).reshape(-1, 2), np.array(rows, dtype=float).reshape(-1, 5)


def is_connected(atoms: set[int], bonds: np.ndarray) -> bool:
    inner = np.array([(i, j) for i, j in bonds.tolist() if i in atoms and j in atoms]).reshape(-1, 2)
    return set(hops_from(min(atoms), inner)) == atoms
