"""Features of pairs of regions, for many molecules at once.

Legend: ΣQ pairs of regions I < J, sorted; ΣC contacts: pairs of atoms nearer than the sum of their radii.
"""

import numpy as np

from psigraph.descriptors.radii import VDW_RADII
from psigraph.graphs.columns import offsets_of, ranges
from psigraph.graphs.geometry import sums
from psigraph.graphs.hops import NOT_CONNECTED, PairTable, table_base
from psigraph.graphs.molecule_columns import Frame


def region_pair_features(
    frame: Frame, between: PairTable, pairs: np.ndarray, contacts: np.ndarray, distances: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return the features (ΣQ, 5) of `pairs` (ΣQ, 2) of regions: the columns of `regional_table.PAIR_MEANINGS`.

    `between` has the bonds between atoms; `contacts` (C, 2) all pairs of atoms with a distance (C,) [Å] below the sum
    of their radii, and possibly others; `labels` (ΣN,) cip_label, 0 where it is not known.
    """
    rows = _rows_of(frame, pairs)
    region, atom = frame.regions.members.T
    chirality = sums(labels[atom], region, len(frame.centres))
    return np.stack(
        [
            _hops(frame, between, pairs),
            _shared(frame, rows, len(pairs)),
            _bonds(frame, rows, len(pairs)),
            _steric(frame, between, rows, len(pairs), contacts, distances),
            chirality[pairs[:, 0]] * chirality[pairs[:, 1]],
        ],
        axis=1,
    )


def _rows_of(frame: Frame, pairs: np.ndarray) -> PairTable:
    """Return the row of each pair of regions in `pairs`, in either order; -1 for those that are not there."""
    base, size = table_base(frame.regions.offsets, frame.regions.offsets)
    table = PairTable(np.full(size, -1, dtype=np.int64), base)
    for a, b in ((0, 1), (1, 0)):
        table.values[base[pairs[:, a]] + pairs[:, b]] = np.arange(len(pairs))
    return table


def _hops(frame: Frame, between: PairTable, pairs: np.ndarray) -> np.ndarray:
    """Return the fewest bonds between core atoms (ΣQ,)."""
    core = frame.regions.members[frame.regions.core]  # sorted by region
    starts = offsets_of(np.bincount(core[:, 0], minlength=len(frame.centres)))
    if len(core) == len(frame.centres):  # one each
        return between[core[pairs[:, 0], 1], core[pairs[:, 1], 1]].astype(np.float64)
    pair, first, second = _crossed(core[:, 1], starts, pairs)
    found = between[first, second].astype(np.float64)
    found[found == NOT_CONNECTED] = np.inf
    fewest = np.full(len(pairs), np.inf)
    np.minimum.at(fewest, pair, found)
    return np.where(np.isfinite(fewest), fewest, NOT_CONNECTED)


def _crossed(flat: np.ndarray, starts: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return every combination of an entry of pairs[:, 0] with one of pairs[:, 1]: row of the pair, both entries.

    The entries of item k are flat[starts[k] : starts[k + 1]].
    """
    sizes = np.diff(starts)
    counts = sizes[pairs[:, 0]], sizes[pairs[:, 1]]
    pair = np.repeat(np.arange(len(pairs)), counts[0])  # first entries
    first = flat[ranges(starts[pairs[:, 0]], counts[0])]
    again = counts[1][pair]
    second = flat[ranges(starts[pairs[pair, 1]], again)]
    return np.repeat(pair, again), np.repeat(first, again), second


def _shared(frame: Frame, rows: PairTable, n_pairs: int) -> np.ndarray:
    flat, starts = frame.atom_regions
    itself = np.repeat(np.arange(len(frame.z))[:, None], 2, axis=1)
    _, first, second = _crossed(flat, starts, itself)
    below = first < second
    return _counted(rows[first[below], second[below]], n_pairs)


def _bonds(frame: Frame, rows: PairTable, n_pairs: int) -> np.ndarray:
    flat, starts = frame.atom_regions
    bond, first, second = _crossed(flat, starts, frame.bonds)  # `first` has one end, `second` the other
    i, j = frame.bonds[bond].T
    both_ways = frame.inside[first, j] & frame.inside[second, i]  # then it stands here twice
    once = (first != second) & ~(both_ways & (first > second))
    return _counted(rows[first[once], second[once]], n_pairs)


def _steric(
    frame: Frame, between: PairTable, rows: PairTable, n_pairs: int, contacts: np.ndarray, distances: np.ndarray
) -> np.ndarray:
    flat, starts = frame.atom_regions
    radii = VDW_RADII[frame.z]
    i, j = contacts.T
    overlap = 1 - distances / (radii[i] + radii[j])
    apart = between[i, j]
    counts = (overlap > 0) & ((apart == NOT_CONNECTED) | (apart > 2))
    contacts, overlap = contacts[counts], overlap[counts]
    contact, first, second = _crossed(flat, starts, contacts)
    i, j = contacts[contact].T
    alone = ~frame.inside[first, j] & ~frame.inside[second, i]
    return _counted(rows[first[alone], second[alone]], n_pairs, overlap[contact[alone]])


def _counted(rows: np.ndarray, n_pairs: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Return how often each row stands in `rows`, or the sums of its weights; -1 stands for pairs out of reach."""
    there = rows >= 0
    return np.bincount(rows[there], weights=None if weights is None else weights[there], minlength=n_pairs).astype(
        np.float64
    )
