"""The order of an epoch: a pseudorandom permutation that is computed where it is needed and never stored.

A Feistel network on pairs (left, right) that count a little more than n numbers; numbers beyond n go through it again
until they fall below n (cycle walking; Black and Rogaway, CT-RSA 2002, doi:10.1007/3-540-45760-7_9). Any window of the
order of any number of graphs takes memory for the window alone.
"""

from math import isqrt

import numpy as np

from psigraph.graphs.draws import ORDER, key_of, mix

_ROUNDS = 6


class EpochOrder:
    """A random order of 0..n-1 that follows from (n, seed, epoch) alone."""

    def __init__(self, n: int, seed: int, epoch: int) -> None:
        self.n = n
        self.rows = max(isqrt(max(n - 1, 0)) + 1, 1)
        self.columns = max(-(-n // self.rows), 1)
        self._keys = [np.uint64(key_of(seed, epoch, ORDER, part)) for part in range(2 * _ROUNDS)]

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        """Return what stands at `positions` (m,) of the order, (m,) int64; positions are at least 0 and below n."""
        out = self._once(np.asarray(positions, dtype=np.uint64))
        outside = np.flatnonzero(out >= self.n)
        while len(outside):
            out[outside] = self._once(out[outside])
            outside = outside[out[outside] >= self.n]
        return out.astype(np.int64)

    def together(self, numbers: np.ndarray) -> np.ndarray:
        """Return the whole order, in which those of one number (n,) stand where the first of them would, (n,) int64."""
        order = self(np.arange(self.n))
        _, first, number = np.unique(numbers[order], return_index=True, return_inverse=True)
        return order[np.argsort(first[number], kind="stable")]

    def _once(self, numbers: np.ndarray) -> np.ndarray:
        """Return the network's image of numbers (m,) below rows * columns, uint64."""
        rows, columns = np.uint64(self.rows), np.uint64(self.columns)
        left, right = numbers // columns, numbers % columns
        for first, second in zip(self._keys[::2], self._keys[1::2], strict=True):
            left = _shifted(left, right, first, rows)
            right = _shifted(right, left, second, columns)
        return left * columns + right


def _shifted(half: np.ndarray, other: np.ndarray, key: np.uint64, size: np.uint64) -> np.ndarray:
    """Return half + f(other) modulo `size`, f a random function with values below `size` < 2^32."""
    draw = ((mix(other ^ key) >> np.uint64(32)) * size) >> np.uint64(32)
    total = half + draw
    return np.where(total >= size, total - size, total)
