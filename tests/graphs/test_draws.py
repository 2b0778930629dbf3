"""Random numbers by (seed, epoch, sample, position): the right distribution, and independent in each of them."""

import numpy as np
import pytest
from scipy import stats

from psigraph.graphs.draws import JITTER, ROTATION, key_of, mix, normals, sample_keys

N = 20_000


def of_samples(indices, seed=0, epoch=0, purpose=JITTER, columns=3):
    keys = sample_keys(seed, epoch, purpose, np.asarray(indices))
    return normals(keys, np.zeros(len(keys), dtype=np.int64), columns)


def of_one_sample(n, seed=0, epoch=0, index=0):
    return normals(np.repeat(sample_keys(seed, epoch, JITTER, np.array([index])), n), np.arange(n), 3)


def test_hash_is_that_of_splitmix64():
    """The published generator's first outputs for the seed 0 (state 0 + golden ratio, ...)."""
    states = (np.arange(1, 4, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    assert [hex(value) for value in mix(states).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


@pytest.mark.parametrize("values", [of_samples(range(N)), of_one_sample(N)], ids=["across samples", "in a sample"])
def test_numbers_are_standard_normal(values):
    assert values.shape == (N, 3)
    for column in values.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert abs(values.mean()) < 4 / np.sqrt(3 * N) and abs(values.var() - 1) < 4 * np.sqrt(2 / (3 * N))
    assert abs(stats.kurtosis(values.ravel())) < 4 * np.sqrt(24 / (3 * N))
    assert np.abs(values).max() > 3.5


def test_streams_are_independent():
    first = of_samples(range(N))
    others = {
        "the next sample": of_samples(range(1, N + 1)),
        "the next epoch": of_samples(range(N), epoch=1),
        "another seed": of_samples(range(N), seed=1),
        "rotation": of_samples(range(N), purpose=ROTATION),
        "one sample": of_one_sample(N),
    }
    for name, other in others.items():
        together = np.corrcoef(np.concatenate([first, other], axis=1).T) - np.eye(6)
        assert np.abs(together).max() < 5 / np.sqrt(N), name
        assert np.abs(np.corrcoef(first[:, 0] ** 2, other[:, 0] ** 2)[0, 1]) < 5 / np.sqrt(N), name


def test_numbers_of_a_sample_are_independent():
    values = of_one_sample(N)
    for lag in (1, 2, 64, 1024):
        together = np.corrcoef(np.concatenate([values[:-lag], values[lag:]], axis=1).T) - np.eye(6)
        assert np.abs(together).max() < 5 / np.sqrt(N - lag)


def test_numbers_follow_their_place_alone():
    whole = of_samples(range(100), seed=3, epoch=5)
    np.testing.assert_array_equal(of_samples([70, 2], seed=3, epoch=5), whole[[70, 2]])
    np.testing.assert_array_equal(of_one_sample(10), of_one_sample(5000)[:10])


def test_keys_do_not_collide():
    keys = [sample_keys(seed, epoch, p, np.arange(5000)) for seed in range(3) for epoch in range(3) for p in range(2)]
    assert len(np.unique(np.concatenate(keys))) == 18 * 5000
    assert len({key_of(a, b) for a in range(300) for b in range(300)}) == 90_000
    assert key_of(1, 2) != key_of(2, 1) != key_of(1, 2, 0)


def test_nothing_drawn_is_an_empty_array():
    assert normals(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64), 3).shape == (0, 3)
