"""The dense search finds what a loop over all pairs and the search tree find."""

import numpy as np
import pytest

from psigraph.graphs.dense import dense_pairs
from psigraph.graphs.neighbours import pairs_within


def slow(positions, offsets, cutoff):
    pairs, counts = [], [0]
    for a, b in zip(offsets[:-1], offsets[1:], strict=True):
        for i in range(b - a):
            for j in range(i + 1, b - a):
                x, y, z = positions[a + j] - positions[a + i]
                if np.sqrt(x * x + y * y + z * z) <= cutoff:
                    pairs.append((i, j))
        counts.append(len(pairs))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), np.array(counts)


@pytest.mark.parametrize("sizes", [[], [0], [1], [2], [0, 3, 0, 1, 12, 0], [7, 7, 7], [300, 2, 1, 260], [5] * 40])
@pytest.mark.parametrize("cutoff", [1.0, 3.0, 100.0])
def test_equals_loop_and_tree(sizes, cutoff):
    rng = np.random.default_rng(len(sizes))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    positions = rng.normal(size=(offsets[-1], 3)) * 1.5
    pairs, pair_offsets = dense_pairs(positions, offsets, cutoff)
    if sum(sizes) < 100:
        for found, expected in zip((pairs, pair_offsets), slow(positions, offsets, cutoff), strict=True):
            np.testing.assert_array_equal(found, expected)
    assert pairs.dtype == pair_offsets.dtype == np.int64 and len(pair_offsets) == len(offsets)
    for k, (a, b) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        tree = pairs_within(positions[a:b], cutoff)
        np.testing.assert_array_equal(pairs[pair_offsets[k] : pair_offsets[k + 1]], tree)


def test_a_pair_at_the_cutoff_counts():
    positions = np.array([[0, 0, 0], [3.0, 0, 0], [0, 3.0000000001, 0]])
    pairs, _ = dense_pairs(positions, np.array([0, 3]), 3.0)
    assert pairs.tolist() == [[0, 1]]


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cutoff_that_cannot_be_is_refused(cutoff):
    with pytest.raises(ValueError, match="cutoff must be positive and finite"):
        dense_pairs(np.zeros((2, 3)), np.array([0, 2]), cutoff)
