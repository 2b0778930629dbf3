"""Checks and small operations that every model on graphs needs."""

import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")


def globals_by_graph(u: Tensor, graphs: int) -> Tensor:
    """Return the scalar globals as (B, 4), also where they arrive flat as (4 B,) (spec/delta.md §6)."""
    if u.numel() != 4 * graphs:
        raise ValueError(f"u holds {u.numel()} numbers for {graphs} graphs; expected 4 a graph: R, theta, V_0, PR")
    return u.reshape(graphs, 4)


def undirected_pairs(data: Any, graph: Tensor, graphs: int) -> tuple[Tensor, Tensor]:
    """Return the undirected pairs (P, 2) of a batch, graph by graph, and where each graph's pairs begin (B+1,).

    A batch has them as `pairs` and `pair_ptr`, or in both directions as PyG's `edge_index_atoms` (2, 2P). `graph` (ΣN,)
    is the graph of each atom. Raises ValueError where a pair lacks one direction.
    """
    if "pairs" in data:
        return data.pairs, data.pair_ptr
    edges = data.edge_index_atoms
    place = one_direction(edges, graph)
    owner = graph[edges[0, place]]
    return edges[:, place].T.contiguous(), nn.functional.pad(torch.bincount(owner, minlength=graphs).cumsum(0), (1, 0))


def one_direction(edge_index: Tensor, graph: Tensor) -> Tensor:
    """Return which columns (P,) of an edge index (2, 2P) are pairs with i < j, ordered by the graph of their atoms.

    Raises ValueError where the edge index does not hold both directions of each pair, or one joins two graphs.
    """
    i, j = edge_index
    rising = i < j
    scrambled = _scramble(torch.where(rising, i * len(graph) + j, j * len(graph) + i))
    if int(torch.where(rising, scrambled, -scrambled).sum()) != 0:  # the two directions do not hold the same pairs
        raise ValueError(_unmatched(edge_index))
    place = rising.nonzero().squeeze(1)
    owner, other = graph[i[place]], graph[j[place]]
    if bool((owner != other).any()):
        bad = edge_index[:, place[owner != other][0]].tolist()
        raise ValueError(f"edge {bad[0]} -> {bad[1]} joins atoms of two graphs; an edge stays within its graph")
    return place[owner.argsort(stable=True)] if bool((owner.diff() < 0).any()) else place


def _unmatched(edge_index: Tensor) -> str:
    """Say which edge of an edge index has no opposite."""
    if edge_index.shape[1] % 2:
        return f"edge_index_atoms holds {edge_index.shape[1]} edges; each pair must stand in both directions"
    count = Counter((a, b) for a, b in edge_index.T.tolist())
    a, b = next((a, b) for a, b in count if a == b or count[a, b] != count[b, a])
    return f"edge {a} -> {b} has no opposite in edge_index_atoms; give both directions"


def _scramble(keys: Tensor) -> Tensor:
    """Return a number of 64 bits for each key (int64), such that sums over different sets of keys differ."""
    mixed = keys * -0x61C8864680B583EB  # Steele et al., SplitMix (2014)
    mixed = (mixed ^ (mixed >> 30)) * -0x40A7B892E31B1A47
    return mixed ^ (mixed >> 27)
