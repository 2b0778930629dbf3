"""Attention along a list of edges, with relative encodings: memory is linear in the number of edges."""

from math import isqrt, sqrt

import torch
from torch import Tensor, nn

from psigraph.models.kernels.edge_sum import edge_dot, edge_sum
from psigraph.models.regional.geometry import Edges
from psigraph.models.regional.weights import AFTER_SILU, linear

#: Scores are bent to stay within this, so that no maximum has to be taken off before the exponential.
_LARGEST_SCORE = 8.0


def key_heads(heads: int, kind: str) -> int:
    """Return how many heads keys and values have: all, one, or as many groups as the largest divisor up to √heads.

    Raises ValueError for an unknown kind.
    """
    if kind == "full":
        return heads
    if kind == "multi_query":
        return 1
    if kind == "grouped_query":
        return max(g for g in range(1, isqrt(heads) + 1) if heads % g == 0)
    raise ValueError(f"unknown attention {kind!r}; known: full, grouped_query, multi_query")


class RegionAttention(nn.Module):
    """Regions ask other regions (or their atoms) along edges.

    With queries q, keys k, values v, the edge's encoding e and envelope c, for each head:

        s_ij = q_i·k_j / √d + b·e_ij,  w_ij = c_ij exp(s_ij) / (1 + Σ_j c_ij exp(s_ij))^p,
        out_i = O Σ_j w_ij (v_j ⊙ G e_ij)

    p in (0, 1) is learned for each head: 0 is a sum over neighbours, which grows with their number, 1 a mean. Edges at
    the cutoff have weight 0 and change nothing, so the result is smooth in the positions. The gate G e_ij is one number
    for each column of the values, or with `gate` "head" for each head, which is cheaper where there are many edges.
    """

    columns_of_head: Tensor

    def __init__(
        self,
        dim: int,
        heads: int,
        kind: str = "full",
        *,
        encoding_width: int,
        size: int | None = None,
        gate: str = "column",
    ) -> None:
        super().__init__()
        if size is None and dim % heads:
            raise ValueError(f"heads must divide dim; got {heads} heads and dim {dim}")
        self.heads, self.size = heads, size or dim // heads
        self.key_size = max(self.size // 2, 1)
        self.groups = key_heads(heads, kind)
        self.query = linear(dim, heads * self.key_size, bias=False)
        self.key_value = linear(dim, self.groups * (self.key_size + self.size), bias=False)
        self.by_column = gate == "column"
        self.relative = linear(encoding_width, heads * (1 + (self.size if self.by_column else 1)), 0.5 * AFTER_SILU)
        self.out = linear(heads * self.size, dim, 0.3)
        self.power = nn.Parameter(torch.zeros(heads))
        self.register_buffer("columns_of_head", torch.eye(heads).repeat_interleave(self.size, 1), persistent=False)

    def forward(self, queries: Tensor, sources: Tensor, edges: Edges, encoding: Tensor) -> Tensor:
        """Return (R, dim) for queries (R, dim), sources (S, dim), edges between them and their encoding (E, W)."""
        key, value = self.key_value(sources).split([self.groups * self.key_size, self.groups * self.size], 1)
        bias, gate = self.relative(encoding).split([self.heads, self.relative.out_features - self.heads], 1)
        weight = self.weights(self.query(queries), self._for_heads(key), bias, edges)  # (E, H)
        value, ends, count = self._for_heads(value), (edges.receivers, edges.senders), len(queries)
        sums = edge_sum(weight, weight.new_ones(len(sources), self.heads), *ends, count)  # (R, H)
        share = (1 + sums) ** -torch.sigmoid(self.power) @ self.columns_of_head  # (R, H d)
        if self.by_column:  # products with a matrix of 0 and 1 are faster than repeated columns, above all backwards
            told = edge_sum(gate * (weight @ self.columns_of_head), value, *ends, count)
        else:
            told = _heads_first(edge_sum(gate * weight, _heads_last(value, self.heads), *ends, count), self.heads)
        return self.out(told * share)

    def weights(self, query: Tensor, key: Tensor, bias: Tensor, edges: Edges) -> Tensor:
        """Return c exp(s) (E, H) of queries (R, H d) and keys (S, H d), with biases (E, H)."""
        query, key = _heads_last(query, self.heads), _heads_last(key, self.heads)
        score = edge_dot(query, key, edges.receivers, edges.senders, self.heads)
        score = score / sqrt(self.key_size) + bias
        score = _LARGEST_SCORE * torch.tanh(score / _LARGEST_SCORE)
        return edges.envelope.unsqueeze(1) * torch.exp(score)

    def _for_heads(self, values: Tensor) -> Tensor:
        """Return values (S, G d) as (S, H d): each group's for each of its heads."""
        if self.groups == self.heads:
            return values
        grouped = values.view(len(values), self.groups, 1, -1)
        return grouped.expand(-1, -1, self.heads // self.groups, -1).reshape(len(values), -1)


def _heads_last(values: Tensor, heads: int) -> Tensor:
    """Return values (S, H d) of H heads, head by head, as (S, d H), column by column."""
    return values.view(len(values), heads, -1).transpose(1, 2).reshape(len(values), -1)


def _heads_first(values: Tensor, heads: int) -> Tensor:
    """Undo `_heads_last`."""
    return values.view(len(values), -1, heads).transpose(1, 2).reshape(len(values), -1)
