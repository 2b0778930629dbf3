"""Distributes electron pairs over orbitals of several atoms: which are lone pairs, which two make a bond.

A graph has nodes, each worth something alone (a lone pair), and edges, worth something together (a bond); a node serves
once at most. Exact for any graph: the best value for every number of pairs follows by recursion over the sets of nodes
that are left, which are few where a graph is long and narrow, as those of conjugated molecules are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

Choice = tuple[int, ...]  # one node or two
_NONE = float("-inf")
#: Smallest density element, a full occupancy as unit, between two orbitals that may make a bond.
MIN_ELEMENT = 0.05
#: Graphs with more nodes are taken apart at their weakest edges: fullerenes would take hours.
MAX_NODES = 28
#: Equally good answers beyond this number are not looked at.
MAX_ANSWERS = 64


@dataclass
class PairGraph:
    """Nodes 0..n-1 in an order that keeps neighbours close, values of nodes alone, and of edges i < j."""

    alone: Sequence[float]
    edges: dict[tuple[int, int], float]
    _options: list[list[tuple[Choice, float]]] = field(init=False)
    _best: dict[int, list[float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._options = [[((i,), value)] for i, value in enumerate(self.alone)]
        for (i, j), value in self.edges.items():
            self._options[i].append(((i, j), value))

    @property
    def everything(self) -> int:
        """The set of all nodes, as bits."""
        return (1 << len(self.alone)) - 1

    def best(self, nodes: int | None = None) -> list[float]:
        """Return the highest value for 0, 1, ... pairs on the nodes in a set of bits, -inf where it cannot be done."""
        nodes = self.everything if nodes is None else nodes
        if nodes == 0:
            return [0.0]
        if nodes not in self._best:
            first = (nodes & -nodes).bit_length() - 1
            result = list(self.best(nodes & ~(1 << first)))
            for choice, value in self._usable(first, nodes):
                rest = self.best(nodes & ~_bits(choice))
                result += [_NONE] * (len(rest) + 1 - len(result))
                for k, other in enumerate(rest):
                    result[k + 1] = max(result[k + 1], value + other)
            self._best[nodes] = result
        return self._best[nodes]

    def answers(self, pairs: int, slack: float) -> list[tuple[float, tuple[Choice, ...]]]:
        """Return ways to place `pairs` pairs whose value is within `slack` of the best, with their values."""
        best = self.best()
        if pairs >= len(best):
            return []
        found = self._search(self.everything, pairs, best[pairs] - slack)
        return [answer for answer, _ in zip(found, range(MAX_ANSWERS), strict=False)]

    def _search(self, nodes: int, pairs: int, at_least: float) -> Iterator[tuple[float, tuple[Choice, ...]]]:
        best = self.best(nodes)
        if pairs >= len(best) or best[pairs] < at_least:
            return
        if pairs == 0:
            yield 0.0, ()
            return
        first = (nodes & -nodes).bit_length() - 1
        for choice, value in self._usable(first, nodes):
            for rest, others in self._search(nodes & ~_bits(choice), pairs - 1, at_least - value):
                yield value + rest, (choice, *others)
        yield from self._search(nodes & ~(1 << first), pairs, at_least)

    def _usable(self, first: int, nodes: int) -> list[tuple[Choice, float]]:
        return [(choice, value) for choice, value in self._options[first] if nodes >> choice[-1] & 1]


def share_pairs(best: Sequence[Sequence[float]], pairs: int) -> list[int]:
    """Return how many pairs each of several graphs gets, so that the sum of their best values is highest.

    As many as fit, where all graphs together cannot hold so many.
    """
    totals: dict[int, float] = {0: 0.0}
    routes: dict[int, list[int]] = {0: []}
    for values in best:
        new_totals: dict[int, float] = {}
        new_routes: dict[int, list[int]] = {}
        for k, total in totals.items():
            for extra, value in enumerate(values):
                if k + extra <= pairs and total + value > new_totals.get(k + extra, _NONE):
                    new_totals[k + extra], new_routes[k + extra] = total + value, [*routes[k], extra]
        totals, routes = new_totals, new_routes
    return routes[min(pairs, max(routes))]


def pair_graphs(block: np.ndarray, owner: np.ndarray, min_share: float) -> list[tuple[PairGraph, list[int]]]:
    """Return the connected parts of the graph of some orbitals, each with the orbitals that are its nodes.

    `block` (C, C) is the density between them, a full occupancy as unit, `owner` (C,) their atoms. Two orbitals of
    different atoms have an edge where their 2 by 2 block has an eigenvector with at least `min_share` on each; its
    eigenvalue is the edge's worth. Orbitals of one atom count as connected, for its formal charge depends on them all.
    """
    smallest = MIN_ELEMENT
    while True:
        graphs = _parts(block, owner, _edges(block, owner, smallest, min_share))
        if smallest > 1 or max(len(members) for _, members in graphs) <= MAX_NODES:
            return graphs
        smallest += MIN_ELEMENT


def _edges(block: np.ndarray, owner: np.ndarray, smallest: float, min_share: float) -> dict[tuple[int, int], float]:
    edges = {}
    for i, j in np.argwhere(np.triu(np.abs(block) * (owner[:, None] != owner)) > smallest):
        half = (block[i, i] - block[j, j]) / 2
        root = np.hypot(half, block[i, j])
        if min_share < 0.5 + half / (2 * root) < 1 - min_share:
            edges[int(i), int(j)] = float((block[i, i] + block[j, j]) / 2 + root)
    return edges


def _parts(
    block: np.ndarray, owner: np.ndarray, edges: dict[tuple[int, int], float]
) -> list[tuple[PairGraph, list[int]]]:
    near = owner[:, None] == owner
    for i, j in edges:
        near[i, j] = near[j, i] = True
    neighbours = [[int(j) for j in np.flatnonzero(row) if j != i] for i, row in enumerate(near)]
    parts = []
    left = set(range(len(owner)))
    while left:
        # breadth first from an end keeps neighbours close in the order
        order = [min(left, key=lambda i: (len(neighbours[i]), i))]
        for node in order:
            order += [n for n in neighbours[node] if n not in order]
        left -= set(order)
        place = {node: k for k, node in enumerate(order)}
        inner = {
            (min(place[i], place[j]), max(place[i], place[j])): value for (i, j), value in edges.items() if i in place
        }
        parts.append((PairGraph([float(block[n, n]) for n in order], inner), order))
    return parts


def _bits(choice: Choice) -> int:
    return sum(1 << node for node in choice)
