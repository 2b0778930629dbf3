"""Keep a part of many structures, evenly spread and the same part every time."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from psigraph.structures.geometry import dimer_geometry
from psigraph.structures.model import Structure


def spread(n: int, k: int) -> list[int]:
    """Return `k` of the positions 0..n-1, evenly spread: both ends for k > 1, the middle for k = 1."""
    if k >= n:
        return list(range(n))
    if k == 1:
        return [(n - 1) // 2]
    return np.round(np.linspace(0, n - 1, k)).astype(int).tolist()


def limit_per_group(structures: Sequence[Structure], limit: int) -> list[int]:
    """Return the indices, ascending, of at most `limit` structures of each group, spread evenly over separation."""
    kept = [i for members in _by_group(structures).values() for i in _pick(structures, members, limit)]
    return sorted(kept)


def limit_total(structures: Sequence[Structure], limit: int) -> list[int]:
    """Return the indices, ascending, of at most `limit` structures, evenly over groups.

    Every group gives the same number, or all it has; what remains is given to groups evenly spread in the order of
    their first appearance, and so is everything where there are more groups than places. Within a group as in
    `limit_per_group`.
    """
    groups = list(_by_group(structures).values())
    quota = _quotas([len(g) for g in groups], limit)
    return sorted(i for members, k in zip(groups, quota, strict=True) for i in _pick(structures, members, k))


def _quotas(sizes: list[int], total: int) -> list[int]:
    """Places for each group: as equal as sizes allow, `total` in sum (or all)."""
    if total >= sum(sizes):
        return sizes
    level = 0
    while sum(min(size, level + 1) for size in sizes) <= total:
        level += 1
    quota = [min(size, level) for size in sizes]
    larger = [g for g, size in enumerate(sizes) if size > level]
    for position in spread(len(larger), total - sum(quota)) if total > sum(quota) else []:
        quota[larger[position]] += 1
    return quota


def _by_group(structures: Sequence[Structure]) -> dict[str, list[int]]:
    """Indices of each group; groups in order of first appearance."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, s in enumerate(structures):
        groups[s.group].append(i)
    return groups


def separation_of(s: Structure) -> float:
    """Return the separation from the raw data, else between the centres of mass [Å]; 0 of a molecule."""
    if not s.is_dimer:
        return 0.0
    return s.separation if np.isfinite(s.separation) else dimer_geometry(s.z, s.positions, s.fragment).separation


def _pick(structures: Sequence[Structure], members: list[int], k: int) -> list[int]:
    """At most `k` members, evenly spread in the order of separation; equal separations in the order of ids."""
    if k >= len(members):
        return members
    if k < 1:
        return []
    ordered = sorted(members, key=lambda i: (round(separation_of(structures[i]), 6), structures[i].id))
    return [ordered[p] for p in spread(len(ordered), k)]
