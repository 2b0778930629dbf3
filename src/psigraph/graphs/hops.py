"""Bonds by distance, and how many bonds lie between atoms, for many molecules at once.

Legend: n molecules, ΣN atoms of all, ΣB bonds of all; offsets (n+1,) count atoms. Tables of pairs of atoms of one
molecule are dense and stand one after another: molecule m has N_m² entries.
"""

from dataclasses import dataclass

import numpy as np

from psigraph.graphs.columns import offsets_of, ranges
from psigraph.structures.elements import COVALENT_RADII
from psigraph.structures.geometry import BOND_TOLERANCE

#: Number of bonds between atoms that no bonds connect.
NOT_CONNECTED = -1


@dataclass(frozen=True)
class PairTable:
    """A value for every ordered pair (a, b) that is `rows` x `columns` within each molecule; a, b count in all."""

    values: np.ndarray  # flat
    base: np.ndarray  # by a: where its row begins, less the first column of its molecule

    def __getitem__(self, pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the values of pairs (a, b); both of the same molecule."""
        return self.values[self.base[pair[0]] + pair[1]]


def table_base(row_offsets: np.ndarray, column_offsets: np.ndarray) -> tuple[np.ndarray, int]:
    """Return `PairTable.base` for rows and columns with these offsets (n+1,), and the number of entries."""
    rows, columns = np.diff(row_offsets), np.diff(column_offsets)
    starts = offsets_of(rows * columns)
    local = ranges(np.zeros_like(rows), rows)
    base = np.repeat(starts[:-1] - column_offsets[:-1], rows) + local * np.repeat(columns, rows)
    return base, int(starts[-1])


def bonded(z: np.ndarray, pairs: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Return which of the pairs (P, 2), all that are near, are bonds (P,); the rule of `structures.geometry.bonds`.

    `pairs` count in `z` (ΣN,), their `distances` (P,) are in Å; all pairs up to `longest_bond(z)` must be among them.
    """
    i, j = pairs.T
    radii = COVALENT_RADII[z]
    near = distances <= BOND_TOLERANCE * (radii[i] + radii[j])
    hydrogen = z == 1
    attached = np.zeros(len(z), dtype=bool)  # to another element
    attached[i[near & ~hydrogen[j]]] = True
    attached[j[near & ~hydrogen[i]]] = True
    return near & ~(hydrogen[i] & hydrogen[j] & (attached[i] | attached[j]))


def longest_bond(z: np.ndarray) -> float:
    """Return the longest distance [Å] at which two of these elements count as bonded; 0 without atoms."""
    return float(2 * BOND_TOLERANCE * COVALENT_RADII[z].max(initial=0.0))


def neighbour_lists(n_atoms: int, bonds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bonded neighbours of all atoms one after another (2B,), rising by atom, and their offsets (N+1,)."""
    ends = np.concatenate([bonds, bonds[:, ::-1]]).astype(np.int64)  # (2B, 2)
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    return ends[:, 1], offsets_of(np.bincount(ends[:, 0], minlength=n_atoms))


def bond_counts(offsets: np.ndarray, bonds: np.ndarray) -> PairTable:
    """Return the smallest number of bonds between any two atoms of a molecule, int16; NOT_CONNECTED where none lead.

    `bonds` (ΣB, 2) count in all atoms. Breadth-first search from every atom at once: the entries of the table are
    visited once each, so time and memory are linear in its size.
    """
    n = int(offsets[-1])
    base, size = table_base(offsets, offsets)
    table = PairTable(np.full(size, NOT_CONNECTED, dtype=np.int16), base)
    neighbours, starts = neighbour_lists(n, bonds)
    degrees = np.diff(starts)
    source = at = np.arange(n)
    table.values[base + at] = 0
    claim = np.empty(size, dtype=np.int32)
    step = 0
    while len(at):
        step += 1
        source, at = np.repeat(source, degrees[at]), neighbours[ranges(starts[at], degrees[at])]
        entry = base[source] + at
        new = np.flatnonzero(table.values[entry] == NOT_CONNECTED)
        claim[entry[new]] = new  # several ways of one length: the last one goes on
        new = new[claim[entry[new]] == new]
        source, at = source[new], at[new]
        table.values[entry[new]] = step
    return table
