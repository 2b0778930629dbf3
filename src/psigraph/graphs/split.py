"""Training, validation and test sets that never share a group, for any number of groups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from psigraph.graphs.split_counts import SplitError, joined, numbered, size_sides, take

__all__ = [
    "SPLITS",
    "Grouped",
    "Samples",
    "SplitError",
    "split_given",
    "split_groups",
    "split_samples",
    "split_sizes",
]

SPLITS = ("train", "validation", "test")
#: Separates the draw of a fold's validation groups from the draw of the folds.
_VALIDATION_DRAW = 1


class Samples(Protocol):
    """What says which samples belong together; n samples."""

    @property
    def groups(self) -> np.ndarray: ...  # (n,) text
    @property
    def systems(self) -> np.ndarray: ...  # (n,) text: of molecules their scaffolds
    @property
    def n_heavy(self) -> np.ndarray: ...  # (n,) atoms other than hydrogen


@dataclass(frozen=True)
class Grouped:
    """What says which samples belong together, as arrays (n,)."""

    groups: np.ndarray
    systems: np.ndarray
    n_heavy: np.ndarray


def split_given(sides: np.ndarray, groups: np.ndarray, *, seed: int, train: int | None = None) -> dict[str, np.ndarray]:
    """Return the indices of the samples that train, validate and test as the source of the data says, by these names.

    sides (n,) text: one of the names, or empty for samples that are left out. `train` is the largest number of samples
    that train, taken group by group in a random order; with equal seeds, smaller training sets are part of larger ones.

    Raises SplitError where none train, or a group (n,) stands on two sides.
    """
    result = {name: np.flatnonzero(sides == name) for name in SPLITS}
    if not len(result["train"]):
        raise SplitError(
            "the source gives no sample the side 'train'; take another split, by random, group or scaffold"
        )
    owner, n_labels = numbered(groups)
    on = np.stack([np.bincount(owner[rows], minlength=n_labels) > 0 for rows in result.values()])
    if (on.sum(axis=0) > 1).any():
        label = sorted({str(name) for name in groups})[int(np.argmax(on.sum(axis=0) > 1))]
        raise SplitError(f"the source puts the group {label!r} on two sides; correct its table")
    if train is not None:
        result["train"] = _first(result["train"], owner, n_labels, seed, train)
    return result


def split_samples(
    data: Samples,
    *,
    seed: int,
    by: str = "group",
    validation: float = 0.1,
    test: float = 0.2,
    train: int | None = None,
    train_heavy: int | None = None,
    test_heavy: int | None = None,
    folds: int | None = None,
) -> dict[str, np.ndarray]:
    """Return the indices of the samples that train, validate and test, as sorted int64 arrays by these names.

    What stays together is a group; by `system` or `scaffold` also a system; by `size` groups of at most `train_heavy`
    heavy atoms train and validate, those of at least `test_heavy` (default: one more) test. Below 1 `validation` and
    `test` are shares of the groups (by size: of those that can validate, or test), see `split_groups`. From 1 on they
    are numbers of samples: groups are taken in a random order as they fit, and a part of one where that leaves a rest;
    by size `test` takes all there are if they are fewer. `train` is the largest number of samples that train; the
    others are left out. With equal seeds, smaller training sets are part of larger ones, validation and test the same.

    Raises SplitError where nothing is left to train on, or fewer samples than asked for are there.
    """
    together = data.groups if by in ("group", "size") else joined(data.groups, data.systems)
    owner, n_labels = numbered(together)
    if by == "size":
        if train_heavy is None:
            raise SplitError("a split by size needs train_heavy")
        smaller = train_heavy + 1 if test_heavy is None else test_heavy
        sides = size_sides(owner, n_labels, data.n_heavy, train_heavy, smaller, seed, validation, test)
    elif validation < 1 and (test < 1 or folds):
        found = split_groups(together, seed=seed, validation=validation, test=test, folds=folds)
        sides = np.zeros(len(owner), dtype=np.int64)
        for side, name in enumerate(SPLITS):
            sides[found[name]] = side
    else:
        sides = _counted_sides(owner, n_labels, seed, validation, test, folds)
    if not (sides == 0).any():
        raise SplitError(
            f"the training split is empty: of {len(owner)} samples, {np.sum(sides == 1)} validate and "
            f"{np.sum(sides == 2)} test; ask for fewer"
        )
    result = {name: np.flatnonzero(sides == side) for side, name in enumerate(SPLITS)}
    if train is not None:
        result["train"] = _first(result["train"], owner, n_labels, seed, train)
    return result


def split_groups(
    groups: Sequence[str] | np.ndarray,
    *,
    seed: int,
    validation: float = 0.1,
    test: float = 0.1,
    folds: int | None = None,
) -> dict[str, np.ndarray]:
    """Return the indices of the samples that train, validate and test, as sorted int64 arrays by these names.

    `groups` holds one label per sample; all samples of a label stand on one side. `validation` and `test` are shares of
    the groups (see `split_sizes`). With `folds`, seed s tests fold s mod folds of shuffle s div folds, so that `folds`
    consecutive seeds from a multiple of `folds` on test every group once; validation groups are drawn from the others.
    The split depends on the set of labels and the seed, not on the order of the samples.

    Raises SplitError where no group is left to train on, a share is out of range, or there are fewer groups than folds.
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise SplitError(f"{name} must be at least 0 and below 1, got {share}")
    owner, n_labels = numbered(groups)
    if n_labels == 0:
        raise SplitError("the training split is empty: there are no samples; see why the structures were left out")
    sides = (
        _shuffle_sides(n_labels, seed, validation, test)
        if folds is None
        else _fold_sides(n_labels, seed, validation, folds)
    )
    return {name: np.flatnonzero(sides[owner] == i) for i, name in enumerate(SPLITS)}


def split_sizes(n: int, validation: float, test: float) -> tuple[int, int, int]:
    """Return how many of n groups train, validate and test.

    Validation and test get their rounded share, but at least one group each where the share is not 0; then the larger
    of the two (test, if equal) gives back until one group trains. At 10 % each: 1/0/0, 1/1/0, 1/1/1, ..., 10: 8/1/1.
    """
    sizes = [max(int(np.floor(n * share + 0.5)), 1) if share > 0 else 0 for share in (validation, test)]
    while sum(sizes) > max(n - 1, 0):
        sizes[1 if sizes[1] >= sizes[0] else 0] -= 1
    return n - sum(sizes), sizes[0], sizes[1]


def _shuffle_sides(n: int, seed: int, validation: float, test: float) -> np.ndarray:
    """Return the side (0 train, 1 validation, 2 test) of each of n groups (n,)."""
    _, n_validation, n_test = split_sizes(n, validation, test)
    order = np.random.default_rng(seed).permutation(n)
    sides = np.zeros(n, dtype=np.int64)
    sides[order[:n_test]] = 2
    sides[order[n_test : n_test + n_validation]] = 1
    return sides


def _fold_sides(n: int, seed: int, validation: float, folds: int) -> np.ndarray:
    """Return the side of each of n groups (n,) where seed s tests fold s mod folds of shuffle s div folds."""
    if folds < 2:
        raise SplitError(f"folds must be at least 2, got {folds}")
    if n < folds:
        raise SplitError(f"{n} groups cannot make {folds} folds; ask for at most {n} or none")
    shuffle, fold = divmod(seed, folds)
    order = np.random.default_rng(shuffle).permutation(n)
    tested = np.array_split(order, folds)[fold]
    sides = np.zeros(n, dtype=np.int64)
    sides[tested] = 2
    others = np.flatnonzero(sides == 0)
    n_validation = int(np.floor(n * validation + 0.5))
    n_validation = min(max(n_validation, 1) if validation > 0 else 0, len(others) - 1)
    draw = np.random.default_rng((shuffle, fold, _VALIDATION_DRAW)).permutation(others)
    sides[draw[:n_validation]] = 1
    return sides


def _ranks(n: int, seed: int) -> np.ndarray:
    """Return the place (n,) of each of n groups in a random order; the order in which training sets grow."""
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.random.default_rng(seed).permutation(n)[::-1]] = np.arange(n)
    return ranks


def _first(rows: np.ndarray, owner: np.ndarray, n_labels: int, seed: int, count: int) -> np.ndarray:
    """Return at most `count` of these rows (m,), sorted, group by group in the order in which training sets grow."""
    order = _ranks(n_labels, seed)[owner[rows]]
    return np.sort(rows[np.argsort(order, kind="stable")[:count]])


def _counted_sides(
    owner: np.ndarray, n: int, seed: int, validation: float, test: float, folds: int | None
) -> np.ndarray:
    """Return the side of each sample, of which `owner` is the group; at least one of both sides counts samples.

    -1 are samples that are left over.
    """
    if n == 0:
        raise SplitError("the training split is empty: there are no samples; see why the structures were left out")
    sides = np.zeros(len(owner), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(n)
    if folds is None:
        take(sides, owner, order, 2, test, n, "test")
    else:
        sides[_fold_sides(n, seed, 0.0, folds)[owner] == 2] = 2
    take(sides, owner, order, 1, validation, n, "validate")
    return sides
