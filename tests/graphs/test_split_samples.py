"""Splits of molecules: by group, scaffold and size, with shares and counts."""

from dataclasses import dataclass

import numpy as np
import pytest

from psigraph.graphs.split import SPLITS, SplitError, split_groups, split_samples


@dataclass
class Samples:
    groups: np.ndarray
    systems: np.ndarray
    n_heavy: np.ndarray


@pytest.fixture
def samples() -> Samples:
    """600 conformers of 200 molecules of 1 to 20 heavy atoms with 40 scaffolds, some of them much more frequent."""
    rng = np.random.default_rng(0)
    molecule = rng.permutation(np.repeat(np.arange(200), 3))
    scaffold = np.minimum(rng.geometric(0.1, 200), 40)
    return Samples(
        np.array([f"m{k}" for k in molecule], dtype=object),
        np.array([f"s{scaffold[k]}" for k in molecule], dtype=object),
        (molecule % 20 + 1).astype(np.int32),
    )


def assert_no_leakage(split, labels):
    sides = [set(labels[split[name]]) for name in SPLITS]
    assert all(not a & b for k, a in enumerate(sides) for b in sides[k + 1 :])
    rows = np.concatenate([split[name] for name in SPLITS])
    assert len(set(rows.tolist())) == len(rows)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shares", [(0.1, 0.2), (50, 100), (0.1, 100), (50, 0.2), (0, 100), (50, 0)])
@pytest.mark.parametrize("by", ["group", "system", "scaffold"])
def test_nothing_that_belongs_together_is_on_two_sides(samples, by, shares, seed):
    split = split_samples(samples, seed=seed, by=by, validation=shares[0], test=shares[1])
    assert_no_leakage(split, samples.groups)
    if by != "group":
        assert_no_leakage(split, samples.systems)
    for name, wanted in zip(("validation", "test"), shares, strict=True):
        if wanted == 0 or wanted >= 1:
            assert len(split[name]) == wanted
        else:
            assert len(split[name]) > 0
    assert len(split["train"]) > 0


def test_shares_by_group_are_those_of_groups(samples):
    found = split_samples(samples, seed=4, validation=0.1, test=0.2)
    expected = split_groups(samples.groups, seed=4, validation=0.1, test=0.2)
    assert all(np.array_equal(found[name], expected[name]) for name in SPLITS)


def test_a_molecule_with_two_scaffolds_joins_them():
    samples = Samples(np.array(["a", "a", "b", "c"]), np.array(["s", "t", "t", "u"]), np.ones(4, dtype=int))
    for seed in range(10):
        split = split_samples(samples, seed=seed, by="scaffold", validation=0.0, test=0.5)
        assert any({0, 1, 2} <= set(split[name].tolist()) for name in SPLITS)


@pytest.mark.parametrize("by, more", [("group", {}), ("scaffold", {}), ("size", {"train_heavy": 12})])
@pytest.mark.parametrize("shares", [(0.1, 0.2), (30, 60)])
def test_training_sets_are_nested(samples, by, more, shares):
    previous, sides = None, None
    for train in (1, 7, 50, 200, None):
        split = split_samples(samples, seed=1, by=by, validation=shares[0], test=shares[1], train=train, **more)
        assert train is None or len(split["train"]) == train
        rows = set(split["train"].tolist())
        assert previous is None or previous < rows
        others = [split[name].tolist() for name in ("validation", "test")]
        assert sides is None or sides == others
        previous, sides = rows, others
        assert_no_leakage(split, samples.groups)


@pytest.mark.parametrize("validation, test", [(18, 99), (0.1, 0.5)])
def test_by_size_large_molecules_test_and_small_ones_train(samples, validation, test):
    split = split_samples(samples, seed=0, by="size", train_heavy=9, test_heavy=12, validation=validation, test=test)
    assert samples.n_heavy[split["train"]].max() <= 9 and samples.n_heavy[split["validation"]].max() <= 9
    assert samples.n_heavy[split["test"]].min() >= 12
    assert_no_leakage(split, samples.groups)
    small, large = np.sum(samples.n_heavy <= 9), np.sum(samples.n_heavy >= 12)
    assert len(split["validation"]) == (18 if validation == 18 else small // 10)
    assert len(split["test"]) == (99 if test == 99 else large // 2)
    assert len(split["train"]) == small - len(split["validation"])


def test_by_size_takes_all_large_ones_where_fewer_are_there(samples):
    split = split_samples(samples, seed=0, by="size", train_heavy=18, validation=10, test=1000)
    assert len(split["test"]) == np.sum(samples.n_heavy >= 19)


def test_a_split_follows_from_the_seed(samples):
    one, two, other = (split_samples(samples, seed=s, validation=30, test=60) for s in (1, 1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in SPLITS)
    assert not np.array_equal(one["test"], other["test"])


def test_folds_with_a_number_of_validation_samples(samples):
    tested = []
    for seed in range(4):
        split = split_samples(samples, seed=seed, validation=30, test=0.2, folds=4)
        assert len(split["validation"]) == 30
        assert_no_leakage(split, samples.groups)
        tested += split["test"].tolist()
    assert sorted(tested) == list(range(600))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"validation": 300, "test": 300}, "the training split is empty: of 600 samples, 300 validate and 300 test"),
        ({"validation": 10, "test": 700}, "700 samples are to test, but there are only 600; ask for fewer"),
        ({"validation": 400, "test": 300}, "400 samples are to validate, but there are only 300"),
        ({"by": "size", "train_heavy": 30}, "no sample has at least 31 heavy atoms; of 600 they have 1 to 20"),
        ({"by": "size", "train_heavy": 5, "validation": 400}, "400 samples are to validate, but there are only 150"),
        ({"by": "size"}, "a split by size needs train_heavy"),
    ],
)
def test_errors(samples, settings, message):
    with pytest.raises(SplitError, match=message):
        split_samples(samples, seed=0, **settings)


def test_no_samples_is_an_error():
    nothing = Samples(np.array([]), np.array([]), np.array([], dtype=int))
    for settings in ({}, {"test": 5}, {"by": "size", "train_heavy": 5}):
        with pytest.raises(SplitError):
            split_samples(nothing, seed=0, **settings)
