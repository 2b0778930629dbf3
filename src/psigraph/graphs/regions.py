"""Regions: the small groups of atoms that models of molecules begin with.

bonded   each atom with those bound to it
k_hop    each atom with those at most `hops` bonds away
patches  connected parts that do not overlap, of about `patch_atoms` atoms each (`patches.py`)

Legend: R regions, M memberships (region, atom), ΣN atoms of many molecules.
"""

from dataclasses import dataclass

import numpy as np

from psigraph.graphs.columns import offsets_of
from psigraph.graphs.hops import PairTable, bond_counts, table_base
from psigraph.graphs.patches import patches

KINDS = ("bonded", "k_hop", "patches")


@dataclass(frozen=True)
class Regions:
    """The regions of many molecules; regions and atoms count in all of them, members are sorted by region and atom."""

    members: np.ndarray  # (M, 2) int64: region, atom
    core: np.ndarray  # (M,) bool: whether the atom says where the region lies
    offsets: np.ndarray  # (n+1,) where each molecule's regions begin


def make_regions(
    n_atoms: int,
    bonds: np.ndarray,
    kind: str = "bonded",
    hops: int = 2,
    patch_atoms: int = 6,
    z: np.ndarray | None = None,
    positions: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the regions of one molecule: members (M, 2) as (region, atom), sorted, and which are core (M,).

    `bonds` (B, 2) count atoms; `z` (N,) and `positions` (N, 3) [Å] let patches tell atoms apart. The region of an atom
    has the atom's number (bonded, k_hop), the atom is its core; of a patch every atom is core, and patches count by
    their first atom. Raises ValueError for an unknown kind.
    """
    offsets = np.array([0, n_atoms])
    z = np.zeros(n_atoms, dtype=np.uint8) if z is None else np.asarray(z)
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    found = regions_of(offsets, z, bonds, bond_counts(offsets, bonds), kind, hops, patch_atoms, positions)
    return found.members, found.core


def regions_of(
    offsets: np.ndarray,
    z: np.ndarray,
    bonds: np.ndarray,
    between: PairTable,
    kind: str,
    hops: int,
    patch_atoms: int,
    positions: np.ndarray | None = None,
) -> Regions:
    """Return the regions of many molecules, offsets (n+1,); `between` has the number of bonds between their atoms."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of regions {kind!r}; known: {', '.join(KINDS)}")
    if kind == "patches":
        owner = patches(offsets, z, bonds, patch_atoms, positions)  # (ΣN,)
        order = np.argsort(owner, kind="stable")
        members = np.stack([owner[order], order], axis=1)
        last = np.concatenate([[0], np.maximum.accumulate(owner) + 1])
        return Regions(members, np.ones(len(members), dtype=bool), last[offsets])
    members = _within(offsets, between, 1 if kind == "bonded" else hops)
    return Regions(members, members[:, 0] == members[:, 1], np.asarray(offsets, dtype=np.int64))


def _within(offsets: np.ndarray, between: PairTable, hops: int) -> np.ndarray:
    """Return the pairs (M, 2) of atoms with at most `hops` bonds between them, an atom and itself included, sorted."""
    entries = np.flatnonzero((between.values >= 0) & (between.values <= hops))
    sizes = np.diff(offsets)
    rows = np.repeat(np.arange(offsets[-1]), np.repeat(sizes, sizes))  # (Σ N²,) the first atom of each entry
    first = rows[entries]
    return np.stack([first, entries - between.base[first]], axis=1)


def membership(regions: Regions, offsets: np.ndarray) -> PairTable:
    """Return whether an atom belongs to a region of its molecule, by region and atom; offsets (n+1,) count atoms."""
    base, size = table_base(regions.offsets, offsets)
    table = PairTable(np.zeros(size, dtype=bool), base)
    table.values[base[regions.members[:, 0]] + regions.members[:, 1]] = True
    return table


def regions_by_atom(regions: Regions, n_atoms: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the regions of all atoms one after another (M,), rising by atom, and their offsets (ΣN+1,)."""
    order = np.argsort(regions.members[:, 1], kind="stable")
    return regions.members[order, 0], offsets_of(np.bincount(regions.members[:, 1], minlength=n_atoms))
