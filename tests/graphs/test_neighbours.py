import numpy as np
import pytest

from psigraph.graphs.neighbours import batched_pairs, pair_distances, pairs_within


def brute_force(positions, cutoff):
    found = []
    for i in range(len(positions)):
        for j in range(i + 1, len(positions)):
            d = positions[j] - positions[i]
            if np.sqrt((d * d).sum()) <= cutoff:
                found.append((i, j))
    return np.array(found, dtype=np.int64).reshape(-1, 2)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("cutoff", [0.5, 2.0, 100.0])
def test_equals_brute_force(n, cutoff):
    positions = np.random.default_rng(n).normal(size=(n, 3)) * 2
    np.testing.assert_array_equal(pairs_within(positions, cutoff), brute_force(positions, cutoff))


def test_nothing_is_truncated():
    assert len(pairs_within(np.random.default_rng(0).random((120, 3)), 5.0)) == 120 * 119 // 2


def test_pairs_at_exactly_the_cutoff_count():
    grid = np.array(np.meshgrid(*[np.arange(4.0)] * 3)).reshape(3, -1).T
    for cutoff in (1.0, 2.0, np.sqrt(2), 3.0):
        expected = brute_force(grid, cutoff)
        np.testing.assert_array_equal(pairs_within(grid, cutoff), expected)
        exact = pair_distances(grid, expected) == cutoff
        assert exact.any()
        assert len(pairs_within(grid, np.nextafter(cutoff, 0))) == len(expected) - exact.sum()


def test_batch_equals_single_graphs():
    rng = np.random.default_rng(5)
    sizes = [3, 0, 1, 20, 0, 7, 1]
    offsets = np.cumsum([0, *sizes])
    positions = rng.normal(size=(offsets[-1], 3))
    pairs, pair_offsets = batched_pairs(positions, offsets, 1.3)
    assert len(pair_offsets) == len(sizes) + 1 and pair_offsets[-1] == len(pairs) > 20
    for k in range(len(sizes)):
        single = pairs_within(positions[offsets[k] : offsets[k + 1]], 1.3)
        np.testing.assert_array_equal(pairs[pair_offsets[k] : pair_offsets[k + 1]], single)


def test_coinciding_graphs_of_a_batch_stay_apart():
    one = np.random.default_rng(6).random((4, 3)) * 0.1
    pairs, pair_offsets = batched_pairs(np.tile(one, (300, 1)), 4 * np.arange(301), 0.5)
    np.testing.assert_array_equal(np.diff(pair_offsets), 6)
    assert pairs.max() == 3


def test_empty_batch():
    pairs, pair_offsets = batched_pairs(np.zeros((0, 3)), np.array([0]), 1.0)
    assert pairs.shape == (0, 2) and pair_offsets.tolist() == [0]


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.inf, np.nan])
def test_a_cutoff_that_cannot_be_is_refused(cutoff):
    with pytest.raises(ValueError, match="cutoff must be positive and finite"):
        pairs_within(np.zeros((2, 3)), cutoff)


@pytest.mark.parametrize("cutoff", [0.7, 2.0])
def test_large_and_small_graphs_of_a_batch(monkeypatch, cutoff):
    monkeypatch.setattr("psigraph.graphs.neighbours.LARGEST", 8)
    rng = np.random.default_rng(7)
    for sizes in ([9, 3, 0, 12, 10, 2], [3, 9], [9, 9], [2, 2], [0]):
        offsets = np.cumsum([0, *sizes])
        positions = rng.normal(size=(offsets[-1], 3))
        pairs, ends = batched_pairs(positions, offsets, cutoff)
        expected = [brute_force(positions[a:b], cutoff) for a, b in zip(offsets, offsets[1:], strict=False)]
        np.testing.assert_array_equal(pairs, np.concatenate(expected))
        assert np.diff(ends).tolist() == [len(found) for found in expected] and ends.dtype == np.int64
