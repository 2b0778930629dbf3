from itertools import product

import numpy as np
import pytest

from psigraph.graphs.split import SPLITS, SplitError, split_groups, split_sizes


def labels_of(groups, split):
    return {name: {groups[i] for i in split[name]} for name in SPLITS}


def assert_partition(groups, split):
    """Every sample on exactly one side, and no group on two."""
    assert sorted(np.concatenate([split[name] for name in SPLITS]).tolist()) == list(range(len(groups)))
    sides = labels_of(groups, split)
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not sides[a] & sides[b]


@pytest.mark.parametrize(
    "n, expected",
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)), (9, (7, 1, 1)), (10, (8, 1, 1)), (25, (19, 3, 3))],
)
def test_sizes_at_ten_per_cent_each(n, expected):
    assert split_sizes(n, 0.1, 0.1) == expected


SHARES = [0.0, 0.01, 0.1, 0.2, 0.34, 0.5, 0.8]


@pytest.mark.parametrize("n", range(1, 13))
def test_all_small_numbers_of_groups(n):
    for validation, test in product(SHARES, SHARES):
        if validation + test >= 1:
            continue
        train, n_validation, n_test = split_sizes(n, validation, test)
        assert train >= 1 and n_validation >= 0 and n_test >= 0 and train + n_validation + n_test == n
        for size, share in ((n_validation, validation), (n_test, test)):
            assert abs(size - np.floor(n * share + 0.5)) <= 1 or n < 3
            assert size == 0 or share > 0
            assert size >= 1 or share == 0 or n < 3
        for seed in range(3):
            groups = [f"g{i % n}" for i in range(2 * n + 1)]
            split = split_groups(groups, seed=seed, validation=validation, test=test)
            assert_partition(groups, split)
            assert tuple(len(s) for s in labels_of(groups, split).values()) == (train, n_validation, n_test)


def test_no_samples_is_an_error():
    with pytest.raises(SplitError, match="training split is empty"):
        split_groups([], seed=0)


def test_a_split_follows_from_the_seed_and_not_from_the_order_of_samples():
    groups = [f"g{i // 3}" for i in range(90)]
    first = split_groups(groups, seed=3, validation=0.1, test=0.2)
    again = split_groups(groups, seed=3, validation=0.1, test=0.2)
    turned = split_groups(groups[::-1], seed=3, validation=0.1, test=0.2)
    other = split_groups(groups, seed=4, validation=0.1, test=0.2)
    assert all(np.array_equal(first[name], again[name]) for name in SPLITS)
    assert labels_of(groups, first) == labels_of(groups[::-1], turned)
    assert labels_of(groups, first)["test"] != labels_of(groups, other)["test"]


@pytest.mark.parametrize("folds, n", [(2, 2), (5, 5), (5, 23), (10, 40)])
def test_folds_test_every_group_once(folds, n):
    groups = [f"g{i % n}" for i in range(3 * n)]
    for shuffle in range(2):
        tested = []
        for fold in range(folds):
            split = split_groups(groups, seed=shuffle * folds + fold, validation=0.1, test=0.9, folds=folds)
            assert_partition(groups, split)
            sides = labels_of(groups, split)
            assert sides["train"] and len(sides["test"]) in (n // folds, -(-n // folds))
            assert len(sides["validation"]) == min(max(round(n * 0.1), 1), n - len(sides["test"]) - 1)
            tested += sorted(sides["test"])
        assert sorted(tested) == sorted(set(groups))


def test_folds_of_another_shuffle_differ():
    groups = [f"g{i}" for i in range(30)]
    a, b = (split_groups(groups, seed=seed, validation=0.1, folds=5)["test"] for seed in (0, 5))
    assert not np.array_equal(a, b)


def test_validation_is_not_the_same_in_every_fold():
    groups = [f"g{i}" for i in range(30)]
    drawn = {tuple(split_groups(groups, seed=s, validation=0.1, folds=5)["validation"]) for s in range(5)}
    assert len(drawn) == 5


def test_fewer_groups_than_folds_is_an_error():
    with pytest.raises(SplitError, match="3 groups cannot make 5 folds"):
        split_groups(["a", "b", "c"], seed=0, folds=5)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_shares_out_of_range(share):
    with pytest.raises(SplitError, match="validation must be at least 0 and below 1"):
        split_groups(["a", "b"], seed=0, validation=share)
