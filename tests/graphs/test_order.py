"""The order of an epoch is a permutation, and as random as one."""

import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from psigraph.graphs.order import EpochOrder


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 10, 99, 100, 101, 4096, 100_003])
@pytest.mark.parametrize("seed", [0, 7])
def test_every_number_stands_there_once(n, seed):
    assert np.array_equal(np.sort(EpochOrder(n, seed, 3)(np.arange(n))), np.arange(n))


def test_a_window_is_part_of_the_whole():
    whole = EpochOrder(5000, 1, 2)(np.arange(5000))
    assert np.array_equal(EpochOrder(5000, 1, 2)(np.arange(1234, 1300)), whole[1234:1300])
    assert np.array_equal(EpochOrder(5000, 1, 2)(np.array([4999, 3])), whole[[4999, 3]])


def test_a_window_of_a_huge_order():
    found = EpochOrder(10**12, 0, 0)(np.arange(10**11, 10**11 + 10**5))
    assert len(np.unique(found)) == 10**5 and found.min() >= 0 and found.max() < 10**12
    assert stats.kstest(found / 10**12, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_of_few_are_equally_likely(n):
    counts = Counter(tuple(EpochOrder(n, seed, epoch)(np.arange(n))) for seed in range(50) for epoch in range(100))
    expected = [counts[order] for order in itertools.permutations(range(n))]
    assert sum(expected) == 5_000 and stats.chisquare(expected).pvalue > 1e-3


@pytest.mark.parametrize("n", [1000, 1024])
def test_orders_are_those_of_a_shuffle(n):
    """What a uniform shuffle has: fixed points, rank correlations and jumps between neighbours."""
    orders = np.array([EpochOrder(n, seed, epoch)(np.arange(n)) for seed in range(40) for epoch in range(25)])
    fixed = (orders == np.arange(n)).sum(axis=1)  # Poisson with mean 1
    observed = np.bincount(fixed, minlength=5)
    expected = 1000 * np.array([*stats.poisson.pmf(np.arange(4), 1), stats.poisson.sf(3, 1)])
    assert stats.chisquare([*observed[:4], observed[4:].sum()], expected).pvalue > 1e-3
    correlation = [np.corrcoef(order, np.arange(n))[0, 1] for order in orders]
    assert stats.kstest(np.array(correlation) * np.sqrt(n - 1), "norm").pvalue > 1e-3
    between = [np.corrcoef(a, b)[0, 1] for a, b in itertools.pairwise(orders)]  # of one epoch and the next
    assert stats.kstest(np.array(between) * np.sqrt(n - 1), "norm").pvalue > 1e-3
    rising = (np.diff(orders, axis=1) > 0).sum(axis=1)  # mean (n - 1) / 2, variance (n + 1) / 12
    assert stats.kstest((rising - (n - 1) / 2 + 0.0) / np.sqrt((n + 1) / 12), "norm").pvalue > 1e-4
    places = stats.chisquare(np.bincount(orders[:, 0] * 10 // n, minlength=10))  # where the first one comes from
    assert places.pvalue > 1e-3


def test_numbers_stand_side_by_side_in_a_random_order():
    numbers = np.random.default_rng(0).integers(0, 40, 300)
    order = EpochOrder(300, 1, 2).together(numbers)
    assert np.array_equal(np.sort(order), np.arange(300))
    changes = np.flatnonzero(np.diff(numbers[order])) + 1
    first = numbers[order][[0, *changes]]
    assert len(first) == len(set(first)) == len(set(numbers)) and not np.array_equal(first, np.sort(first))
    for members in np.split(order, changes):
        assert len(members) < 4 or not np.array_equal(members, np.sort(members))
    assert not np.array_equal(order, EpochOrder(300, 1, 3).together(numbers))
    assert np.array_equal(EpochOrder(300, 1, 2).together(np.arange(300)), EpochOrder(300, 1, 2)(np.arange(300)))
