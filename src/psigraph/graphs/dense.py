"""All pairs of small graphs within a cutoff, without a tree: every distance of every graph, many graphs at once.

Where most atoms of a graph are neighbours of most others, looking at every pair costs less than a search tree.
"""

from functools import lru_cache

import numpy as np

from psigraph.graphs.columns import offsets_of

#: Atoms of the largest graph for which this is the faster way at any cutoff; the tables of pairs are kept in memory.
LARGEST = 400

_BLOCK = 1 << 15  # pairs looked at in one go: their arrays fit in a core's cache


def check_cutoff(cutoff: float) -> None:
    """Raise ValueError unless a cutoff is positive and finite."""
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise ValueError(f"the cutoff must be positive and finite, got {cutoff}")


def dense_pairs(positions: np.ndarray, offsets: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what `neighbours.batched_pairs` returns, by comparing all distances within each graph.

    positions (ΣN, 3), offsets (n+1,); the pairs (ΣP, 2) int64 with |r_j - r_i| <= cutoff count from 0 in their own
    graph, sorted by graph, i and j; pair_offsets is (n+1,).
    """
    check_cutoff(cutoff)
    positions = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    sizes = np.diff(offsets)
    before = offsets_of(sizes * (sizes - 1) // 2)  # (n+1,) pairs looked at
    pairs, counts, first = [], [], 0
    while first < len(sizes):
        last = max(int(np.searchsorted(before, before[first] + _BLOCK, side="right")) - 1, first + 1)
        found, kept = _block(positions, offsets[first : last + 1], sizes[first:last], cutoff)
        pairs.append(found)
        counts.append(kept)
        first = last
    if not pairs:
        return np.zeros((0, 2), dtype=np.int64), offsets_of(sizes)
    return np.concatenate(pairs), offsets_of(np.concatenate(counts))


def _block(
    positions: np.ndarray, offsets: np.ndarray, sizes: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (P, 2) of some graphs and the number of pairs of each (n,)."""
    tables = [_all_pairs(n) for n in sizes.tolist()]
    local = tables[0] if len(tables) == 1 else np.concatenate(tables, axis=1)  # (2, C)
    widths = sizes * (sizes - 1) // 2
    flat = local + np.repeat(offsets[:-1], widths)  # (2, C) rows of positions
    square = np.zeros(flat.shape[1])
    for axis in positions.T:
        axis = np.ascontiguousarray(axis)
        difference = axis.take(flat[1]) - axis.take(flat[0])
        square += difference * difference
    near = np.sqrt(square) <= cutoff
    ends = offsets_of(near)[offsets_of(widths)]
    return local.T[near].astype(np.int64), np.diff(ends)


@lru_cache(maxsize=128)
def _all_pairs(n: int) -> np.ndarray:
    """Return all pairs i < j below n, sorted: (2, n (n - 1) / 2) int32."""
    return np.stack(np.triu_indices(n, 1)).astype(np.int32)
