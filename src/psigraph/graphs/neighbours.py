"""All pairs of atoms within a cutoff, each once and never truncated: scipy's k-d tree, or every distance compared."""

import numpy as np

from psigraph.graphs.columns import offsets_of
from psigraph.graphs.dense import LARGEST, check_cutoff, dense_pairs

#: The tree is asked for slightly more, and every candidate's distance is then compared exactly.
_MARGIN = 1 + 1e-9


def pairs_within(positions: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the pairs (P, 2) int64, i < j, sorted, with |r_j - r_i| <= cutoff, of one graph's positions (N, 3).

    Positions and cutoff have the same unit. Raises ValueError for a cutoff that is not positive and finite.
    """
    check_cutoff(cutoff)
    positions = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    if len(positions) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    from scipy.spatial import cKDTree  # half of the time that a job takes to start, and few graphs need it

    pairs = cKDTree(positions).query_pairs(cutoff * _MARGIN, output_type="ndarray").astype(np.int64).reshape(-1, 2)
    pairs = pairs[pair_distances(positions, pairs) <= cutoff]
    n = len(positions)
    keys = np.sort(pairs.min(axis=1) * n + pairs.max(axis=1))  # i < j as one number: sorts faster than two columns
    return np.stack([keys // n, keys % n], axis=1)


def batched_pairs(positions: np.ndarray, offsets: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of many graphs at once, and where each graph's pairs begin.

    positions (ΣN, 3), offsets (n+1,); the pairs (ΣP, 2) int64 count from 0 in their own graph, sorted by graph, i and
    j; pair_offsets is (n+1,). Every distance of a small graph is compared, a tree finds the pairs of a large one.
    """
    positions = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    offsets = np.asarray(offsets, dtype=np.int64)
    large = np.flatnonzero(np.diff(offsets) > LARGEST).tolist()
    pairs, counts, first = [], [], 0
    for graph in [*large, len(offsets) - 1]:  # the small graphs before it, then itself
        found, ends = dense_pairs(positions, offsets[first : graph + 1], cutoff)
        pairs.append(found)
        counts.append(np.diff(ends))
        if graph < len(offsets) - 1:
            pairs.append(pairs_within(positions[offsets[graph] : offsets[graph + 1]], cutoff))
            counts.append(np.array([len(pairs[-1])]))
        first = graph + 1
    return np.concatenate(pairs), offsets_of(np.concatenate(counts))


def pair_distances(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return |r_j - r_i| (P,) of pairs (P, 2) that count in `positions` (N, 3)."""
    difference = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    return np.sqrt((difference * difference).sum(axis=1))
