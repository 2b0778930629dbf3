"""Training, validation and test sets that never share a group, for any number of groups."""

from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "validation", "test")
#: Separates the draw of a fold's validation groups from the draw of the folds.
_VALIDATION_DRAW = 1


class SplitError(ValueError):
    """The data cannot be split as asked; the message says why and what to do."""


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
    owner, n_labels = _numbered(groups)
    if n_labels == 0:
        raise SplitError("the training split is empty: there are no samples; see why the structures were left out")
    sides = (
        _shuffle_sides(n_labels, seed, validation, test)
        if folds is None
        else _fold_sides(n_labels, seed, validation, folds)
    )
    return {name: np.flatnonzero(sides[owner] == i) for i, name in enumerate(SPLITS)}


def _numbered(groups: Sequence[str] | np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rank of each sample's label among the sorted labels (n,), and how many labels there are."""
    found: dict[str, int] = {}
    first_seen = np.fromiter((found.setdefault(str(label), len(found)) for label in groups), np.int64, len(groups))
    rank = np.empty(len(found), dtype=np.int64)
    rank[[found[label] for label in sorted(found)]] = np.arange(len(found))
    return rank[first_seen], len(found)


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
