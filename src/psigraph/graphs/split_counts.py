"""Numbers of samples on the sides of a split, groups that belong together, and pools by size.

Legend: n samples, of which `owner` (n,) is the group; sides: 0 train, 1 validation, 2 test, -1 left over.
"""

from collections.abc import Sequence

import numpy as np


class SplitError(ValueError):
    """The data cannot be split as asked; the message says why and what to do."""


def numbered(groups: Sequence[str] | np.ndarray) -> tuple[np.ndarray, int]:
    """Return the rank of each sample's label among the sorted labels (n,), and how many labels there are."""
    found: dict[str, int] = {}
    first_seen = np.fromiter((found.setdefault(str(label), len(found)) for label in groups), np.int64, len(groups))
    rank = np.empty(len(found), dtype=np.int64)
    rank[[found[label] for label in sorted(found)]] = np.arange(len(found))
    return rank[first_seen], len(found)


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a label per sample (n,), equal for samples that share one of either kind, directly or through others.

    It is the first in order of the `second` labels that are joined.
    """
    numbers = [numbered(labels) for labels in (first, second)]
    label = numbers[1][0]
    while True:
        before = label
        for owner, count in numbers:
            least = np.full(count, len(label), dtype=np.int64)
            np.minimum.at(least, owner, label)
            label = least[owner]
        if np.array_equal(label, before):
            return np.array(sorted(set(map(str, second))), dtype=object)[label]


def size_sides(
    owner: np.ndarray,
    n: int,
    n_heavy: np.ndarray,
    train_heavy: int,
    test_heavy: int,
    seed: int,
    validation: float,
    test: float,
) -> np.ndarray:
    """Return the side of each sample in a split by size; -1 are samples that are left over."""
    least, most = np.full(n, np.iinfo(np.int64).max), np.zeros(n, dtype=np.int64)
    np.minimum.at(least, owner, n_heavy)
    np.maximum.at(most, owner, n_heavy)
    small, large = most <= train_heavy, least >= test_heavy
    if not small.any() or not large.any():
        which = f"at most {train_heavy}" if not small.any() else f"at least {test_heavy}"
        raise SplitError(f"no sample has {which} heavy atoms; of {len(owner)} they have {_span(n_heavy)}")
    order = np.random.default_rng(seed).permutation(n)
    sides = np.full(len(owner), -1, dtype=np.int64)
    sides[small[owner]] = 0
    take(sides, owner, order[small[order]], 1, validation, int(small.sum()), "validate")
    tested = np.where(large[owner], 0, -1)
    wanted = min(test, float(large[owner].sum())) if test >= 1 else test
    take(tested, owner, order[large[order]], 2, wanted, int(large.sum()), "test")
    sides[tested == 2] = 2
    return sides


def _span(values: np.ndarray) -> str:
    return f"{values.min()} to {values.max()}" if len(values) else "none"


def take(
    sides: np.ndarray, owner: np.ndarray, order: np.ndarray, side: int, amount: float, n_groups: int, verb: str
) -> None:
    """Put groups on a side: a share of `n_groups` below 1, else so many samples; `order` says which groups come first.

    Only groups whose samples are on side 0 take part. Raises SplitError where there are too few.
    """
    sizes = np.bincount(owner[sides == 0], minlength=int(owner.max()) + 1)
    free = [group for group in order.tolist() if sizes[group]]
    if amount < 1:
        count = max(int(np.floor(n_groups * amount + 0.5)), 1) if amount > 0 else 0
        sides[np.isin(owner, free[:count]) & (sides == 0)] = side
        return
    wanted = int(amount)
    available = int(sizes[free].sum())
    if available < wanted:
        raise SplitError(f"{wanted} samples are to {verb}, but there are only {available}; ask for fewer")
    taken: list[int] = []
    left: list[int] = []
    for group in free:
        (taken if sizes[group] <= wanted else left).append(group)
        wanted -= int(sizes[group]) if sizes[group] <= wanted else 0
    sides[np.isin(owner, taken) & (sides == 0)] = side
    if wanted:  # no group is small enough: a part of one, the rest of which is left over
        rest = np.flatnonzero((owner == left[0]) & (sides == 0))
        sides[rest[:wanted]], sides[rest[wanted:]] = side, -1
