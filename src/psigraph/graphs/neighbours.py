"""All pairs of atoms within a cutoff, each undirected pair once and never truncated, from scipy's k-d tree."""

import numpy as np
from scipy.spatial import cKDTree

#: The tree is asked for slightly more, and every candidate's distance is then compared exactly.
_MARGIN = 1 + 1e-9


def pairs_within(positions: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the pairs (P, 2) int64, i < j, sorted, with |r_j - r_i| <= cutoff, of one graph's positions (N, 3).

    Positions and cutoff have the same unit. Raises ValueError for a cutoff that is not positive and finite.
    """
    return _search(np.asarray(positions, dtype=np.float64).reshape(-1, 3), None, cutoff)


def batched_pairs(positions: np.ndarray, offsets: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of many graphs at once, and where each graph's pairs begin.

    positions (ΣN, 3), offsets (n+1,); the pairs (ΣP, 2) int64 count from 0 in their own graph, sorted by graph, i and
    j; pair_offsets is (n+1,). One tree holds all graphs, kept apart by a fourth coordinate.
    """
    offsets = np.asarray(offsets, dtype=np.int64)
    graph = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))  # (ΣN,)
    flat = _search(np.asarray(positions, dtype=np.float64).reshape(-1, 3), graph, cutoff)
    owner = graph[flat[:, 0]]
    pair_offsets = np.searchsorted(owner, np.arange(len(offsets)))
    return flat - offsets[owner][:, None], pair_offsets.astype(np.int64)


def pair_distances(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return |r_j - r_i| (P,) of pairs (P, 2) that count in `positions` (N, 3)."""
    difference = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    return np.sqrt((difference * difference).sum(axis=1))


def _search(positions: np.ndarray, graph: np.ndarray | None, cutoff: float) -> np.ndarray:
    """Return sorted pairs (P, 2) of rows of `positions` (N, 3) within the cutoff and, where given, of one graph."""
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise ValueError(f"the cutoff must be positive and finite, got {cutoff}")
    if len(positions) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    points = positions if graph is None else np.column_stack([positions, graph * (4.0 * cutoff)])
    pairs = cKDTree(points).query_pairs(cutoff * _MARGIN, output_type="ndarray").astype(np.int64).reshape(-1, 2)
    pairs = pairs[pair_distances(positions, pairs) <= cutoff]
    pairs.sort(axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
