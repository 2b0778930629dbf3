"""Random numbers that are a function of (seed, epoch, sample, position), for many samples at once.

A counter-based generator: every 64-bit word is a hash of a sample's key and a counter, with the finaliser of SplitMix64
(Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195) as the hash. Nothing is drawn in sequence, so a sample's
numbers do not depend on the batch, the order or the number of processes.
"""

from functools import lru_cache

import numpy as np

_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27, 31)
_MASK = (1 << 64) - 1

#: What a stream of random numbers is for; streams of different purposes are independent.
ROTATION, JITTER, ORDER = 0, 1, 2


def mix(words: np.ndarray) -> np.ndarray:
    """Return the hash of 64-bit words, uint64 of any shape; it is a bijection."""
    a, b, c = (np.uint64(shift) for shift in _SHIFTS)
    first, second = (np.uint64(multiplier) for multiplier in _MULTIPLIERS)
    words = words ^ (words >> a)
    words *= first
    words ^= words >> b
    words *= second
    words ^= words >> c
    return words


def key_of(*numbers: int) -> int:
    """Return one 64-bit key of several integers, in which their order counts."""
    key = 0
    for number in numbers:
        key = _mix_int((key ^ _mix_int((number + _GOLDEN) & _MASK)) + _GOLDEN & _MASK)
    return key


def sample_keys(seed: int, epoch: int, purpose: int, indices: np.ndarray) -> np.ndarray:
    """Return the keys (n,) uint64 of samples `indices` (n,) in an epoch; within an epoch no two are equal."""
    offsets = np.asarray(indices, dtype=np.int64).astype(np.uint64) * np.uint64(_GOLDEN)
    return mix(mix(offsets + np.uint64(key_of(seed, epoch, purpose))))


def normals(keys: np.ndarray, first: np.ndarray, columns: int) -> np.ndarray:
    """Return standard normal numbers (m, columns) float64: row r is that of number `first[r]` of the sample `keys[r]`.

    keys (m,) uint64; first (m,) int64. Two numbers come of each word by Box and Muller's transformation, from 32 bits
    each, so none is beyond 6.8.
    """
    words_each = (columns + 1) // 2
    counters = _hashed_counters(int(first.max(initial=-1)) + 1, words_each)[first]  # (m, words)
    words = mix(keys[:, None] ^ counters)
    radius = np.sqrt(-2 * np.log(_unit(words >> np.uint64(32))))
    angle = _unit(words & np.uint64(0xFFFFFFFF)) * (2 * np.pi)
    out = np.empty((len(keys), 2 * words_each))
    out[:, 0::2], out[:, 1::2] = radius * np.cos(angle), radius * np.sin(angle)
    return out[:, :columns]


def _unit(halves: np.ndarray) -> np.ndarray:
    """Return 32-bit integers as float64 inside (0, 1)."""
    return (halves.astype(np.float64) + 0.5) * 2.0**-32


def _hashed_counters(rows: int, words: int) -> np.ndarray:
    """Return the hashes (at least `rows`, words) of the counters 0, 1, ..."""
    return _counter_table(max(64, 1 << max(rows - 1, 0).bit_length()), words)


@lru_cache(maxsize=8)
def _counter_table(rows: int, words: int) -> np.ndarray:
    return mix(np.arange(1, rows * words + 1, dtype=np.uint64) * np.uint64(_GOLDEN)).reshape(rows, words)


def _mix_int(word: int) -> int:
    for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, 1), strict=True):
        word = (word ^ (word >> shift)) * multiplier & _MASK
    return word
