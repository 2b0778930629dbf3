"""One dimer as a PyG sample; `make_loader` batches them."""

from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from psigraph.fields import EDGE_IRREPS
from psigraph.graphs.batch import GraphBatch, numpy_dtype
from psigraph.graphs.columns import layout_of
from psigraph.graphs.loader import loader_settings, make_loader
from psigraph.graphs.neighbours import pair_distances

__all__ = ["DimerData", "dimer_data", "directed_edges", "edge_harmonics", "loader_settings", "make_loader"]

#: Sign of each of the 16 harmonics when an edge is reversed: -1 for odd l.
REVERSED = torch.tensor([1.0] + [-1.0] * 3 + [1.0] * 5 + [-1.0] * 7)


class DimerData(Data):
    """One dimer, with the fields of `psigraph.fields`; `index` and `graph_id` say which one it is."""

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key == "edge_index_atoms":
            return self.num_nodes
        return 0

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        return 1 if key == "edge_index_atoms" else 0


def dimer_data(
    *,
    z_atoms: np.ndarray,
    pos_atoms: np.ndarray,
    atomic_node_attr: np.ndarray,
    field_node_features: np.ndarray,
    u: np.ndarray,
    y: float,
    y_true_vref: float,
    R_internal_val: float,
    pairs: np.ndarray,
    distances: np.ndarray,
    index: int,
    graph_id: str,
    dtype: torch.dtype,
    spherical_harmonics: bool = False,
) -> DimerData:
    """Return the PyG sample of one dimer from its arrays (`psigraph.fields`); every tensor is a copy in `dtype`.

    pairs (P, 2) become 2P directed edges: i -> j for all pairs, then j -> i for all pairs. distances is (P,).
    """
    kind = numpy_dtype(dtype)

    def tensor(values: Any, *shape: int) -> torch.Tensor:
        copied = np.array(values, dtype=kind)
        return torch.from_numpy(copied.reshape(shape) if shape else copied)

    optional = {}
    if spherical_harmonics:
        optional["edge_attr_sh"] = edge_harmonics(pos_atoms, pairs).to(dtype)
    return DimerData(
        z_atoms=torch.from_numpy(z_atoms.astype(np.int64)),
        pos_atoms=tensor(pos_atoms),
        atomic_node_attr=tensor(atomic_node_attr),
        field_node_features=tensor(field_node_features, 1, 8),
        u=tensor(u, 1, 4),
        y=tensor(y, 1),
        y_true_vref=tensor(y_true_vref, 1),
        R_internal_val=tensor(R_internal_val, 1),
        edge_index_atoms=torch.from_numpy(directed_edges(pairs)),
        edge_attr_atoms=tensor(np.concatenate([distances, distances]), -1, 1),
        num_nodes=len(z_atoms),
        graph_id=graph_id,
        index=torch.tensor([index]),
        **optional,
    )


def sample_of(graphs: GraphBatch, spherical_harmonics: bool = False) -> DimerData:
    """Return a batch of one graph as a PyG sample."""
    (index,) = graphs.index.tolist()
    positions, pairs = graphs.pos_atoms.numpy(), graphs.pairs.numpy()
    return dimer_data(
        **{name: graphs[name].numpy() for name in layout_of("delta").batch if name != "pairs"},
        pairs=pairs,
        distances=pair_distances(positions, pairs),
        index=index,
        graph_id=graphs.graph_id[0],
        dtype=graphs.pos_atoms.dtype,
        spherical_harmonics=spherical_harmonics,
    )


def directed_edges(pairs: np.ndarray) -> np.ndarray:
    """Return the directed edges (2, 2P) int64 of undirected pairs (P, 2): all i -> j, then all j -> i."""
    n = len(pairs)
    edges = np.empty((2, 2 * n), dtype=np.int64)
    edges[:, :n] = pairs.T
    edges[:, n:] = edges[::-1, :n]
    return edges


def edge_harmonics(positions: np.ndarray, pairs: np.ndarray) -> torch.Tensor:
    """Return the spherical harmonics (2P, 16) float64 of the directed edges' vectors pos[dst] - pos[src]."""
    forward = pair_harmonics(positions, pairs)
    return torch.cat([forward, forward * REVERSED.to(forward.dtype)])


def pair_harmonics(positions: np.ndarray, pairs: np.ndarray) -> torch.Tensor:
    """Return the spherical harmonics (P, 16) float64 of r_j - r_i, of pairs (P, 2) that count in positions (N, 3)."""
    from e3nn import o3

    vectors = torch.from_numpy(np.asarray(positions[pairs[:, 1]] - positions[pairs[:, 0]], dtype=np.float64))  # (P, 3)
    return o3.spherical_harmonics(o3.Irreps(EDGE_IRREPS), vectors, normalize=True, normalization="component")
