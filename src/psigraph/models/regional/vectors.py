"""Vectors that turn with the molecule: what regions tell each other of directions, and what it does to their states."""

from torch import Tensor, nn

from psigraph.models.kernels.edge_sum import edge_sum
from psigraph.models.regional.geometry import Edges
from psigraph.models.regional.weights import AFTER_SILU, linear


def outer(directions: Tensor, columns: Tensor) -> Tensor:
    """Return the products (E, 3 C) of directions (E, 3) and columns (E, C), all columns of x first."""
    return (directions.unsqueeze(2) * columns.unsqueeze(1)).flatten(1)


def bent(vectors: Tensor, longest: float) -> Tensor:
    """Return vectors (X, 3, C) with lengths l / √(1 + l² / longest²) in their directions; short ones hardly change."""
    return vectors * (1 + vectors.square().sum(1, keepdim=True) / longest**2).rsqrt()


class VectorPassing(nn.Module):
    """Σ_j c_ij (a_ij n_ij + b_ij V_j), a and b products of an edge's encoding and its sender's state.

    Messages of vectors as in K. Schütt, O. Unke, M. Gastegger, ICML 2021 (PaiNN), eq. 8, here along the edges of a tier
    with envelopes c_ij and directions n_ij.
    """

    def __init__(self, dim: int, channels: int, encoding_width: int) -> None:
        super().__init__()
        self.sender = linear(dim, 2 * channels)
        self.edge = linear(encoding_width, 2 * channels, 0.1 * AFTER_SILU)

    def forward(self, vectors: Tensor, sources: Tensor, edges: Edges, encoding: Tensor, count: int) -> Tensor:
        """Return (count, 3, C) for the receivers of edges, from the senders' vectors (S, 3, C) and states (S, dim)."""
        along, passed = (self.edge(encoding) * edges.envelope.unsqueeze(1)).chunk(2, 1)  # (E, C)
        own, other = self.sender(sources).chunk(2, 1)  # (S, C)
        ends = edges.receivers, edges.senders
        told = edge_sum(outer(edges.direction, along), own.repeat(1, 3), *ends, count)
        told = told + edge_sum(passed, (other.unsqueeze(1) * vectors).flatten(1), *ends, count)
        return told.view(count, 3, -1)


class VectorProducts(nn.Module):
    """Dot products (R, C) of two learned mixtures of a region's C ≥ 0 vectors: lengths and angles, not directions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = linear(channels, 2 * channels, 0.7, bias=False) if channels else None

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the products of vectors (R, 3, C)."""
        if self.mix is None:
            return vectors.sum(1)
        left, right = self.mix(vectors).chunk(2, 2)
        products: Tensor = (left * right).sum(1)
        return products
