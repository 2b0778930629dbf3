"""Checks and small operations that every model on graphs needs."""

import math

import torch
from torch import Tensor


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless `value` is finite and above 0."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")


def globals_by_graph(u: Tensor, graphs: int) -> Tensor:
    """Return the scalar globals as (B, 4), also where they arrive flat as (4 B,) (spec/delta.md §6)."""
    if u.numel() != 4 * graphs:
        raise ValueError(f"u holds {u.numel()} numbers for {graphs} graphs; expected 4 a graph: R, theta, V_0, PR")
    return u.reshape(graphs, 4)


def undirected_pairs(edge_index: Tensor, nodes: int) -> Tensor:
    """Return positions (P, 2) in `edge_index` (2, 2P) of the two directions of each undirected pair.

    The first column is the direction that stands first. Raises ValueError where a pair lacks one direction.
    """
    if edge_index.shape[1] % 2:
        raise ValueError(f"edge_index_atoms holds {edge_index.shape[1]} edges; each pair must stand in both directions")
    low, high = edge_index.min(dim=0).values, edge_index.max(dim=0).values
    key = low * nodes + high  # (2P,)
    order = torch.argsort(key, stable=True).view(-1, 2)  # (P, 2)
    first, second = order.unbind(1)
    matched = (edge_index[0, first] == edge_index[1, second]) & (edge_index[1, first] == edge_index[0, second])
    if not torch.compiler.is_compiling() and not bool(matched.all()):
        bad = edge_index[:, first[~matched][0]].tolist()
        raise ValueError(f"edge {bad[0]} -> {bad[1]} has no opposite in edge_index_atoms; give both directions")
    return order
