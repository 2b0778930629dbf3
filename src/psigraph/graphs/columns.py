"""Graphs as flat arrays in memory: what batches are cut from.

Legend of shapes: n graphs, ΣN atoms, ΣP undirected pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Fields of a shard that a batch needs, by what they have one row of.
BY_ATOM = ("z_atoms", "pos_atoms", "atomic_node_attr")
BY_GRAPH = ("field_node_features", "u", "y", "y_true_vref", "R_internal_val")
PAIRS = "pairs"
OFFSETS = ("offsets", "pair_offsets")


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return starts[0], starts[0]+1, ... (sizes[0] numbers), starts[1], ... as one array."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)


def offsets_of(sizes: np.ndarray) -> np.ndarray:
    """Return where each of n parts of these sizes begins, and the end: (n+1,) int64."""
    out = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=out[1:])
    return out


def take_pairs(pairs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return `pairs[rows]`, (m, 2), of pairs (ΣP, 2) of 1 to 4 bytes a number; a pair is moved as one number."""
    whole = pairs.view(np.dtype(f"u{2 * pairs.itemsize}"))  # (ΣP, 1)
    return whole.take(rows).view(pairs.dtype).reshape(-1, 2)


@dataclass(frozen=True)
class Columns:
    """The fields of n graphs that a batch needs; floating-point fields have the type the samples come in."""

    offsets: np.ndarray  # (n+1,)
    pair_offsets: np.ndarray  # (n+1,)
    by_atom: dict[str, np.ndarray]  # (ΣN, ...)
    by_graph: dict[str, np.ndarray]  # (n, ...)
    pairs: np.ndarray  # (ΣP, 2), counted in their own graph

    def __len__(self) -> int:
        return len(self.offsets) - 1


def empty_columns(sizes: np.ndarray, pair_sizes: np.ndarray, shapes: dict[str, tuple[Any, tuple[int, ...]]]) -> Columns:
    """Return columns of graphs of these sizes (n,) to be filled; `shapes` has (dtype, shape of a row) of each field."""
    offsets, pair_offsets = offsets_of(sizes), offsets_of(pair_sizes)

    def make(names: Sequence[str], rows: int) -> dict[str, np.ndarray]:
        return {name: np.empty((rows, *shapes[name][1]), dtype=shapes[name][0]) for name in names}

    by_atom, by_graph = make(BY_ATOM, int(offsets[-1])), make(BY_GRAPH, len(sizes))
    return Columns(offsets, pair_offsets, by_atom, by_graph, make([PAIRS], int(pair_offsets[-1]))[PAIRS])
