"""Batches of dimers straight from flat arrays: what PyG's collation gives, without a `Data` object per graph.

PyG makes and joins one object per graph, which takes several times as long as the arithmetic. `make_batch` sets the
same attributes, with the slices that let `to_data_list` take the batch apart again.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch_geometric.data import Batch

from psigraph.graphs.augment import Geometry, pairs_in_batch
from psigraph.graphs.data import REVERSED, DimerData, pair_harmonics

_BY_ATOM = ("z_atoms", "pos_atoms", "atomic_node_attr")
_BOOKKEEPING = {"num_nodes", "batch", "ptr", "z_atoms_batch", "z_atoms_ptr"}
_BY_EDGE = ("edge_index_atoms", "edge_attr_atoms", "edge_attr_sh")


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return starts[0], starts[0]+1, ... (sizes[0] numbers), starts[1], ... as one array."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)


def make_batch(
    arrays: Mapping[str, np.ndarray],
    geometry: Geometry,
    rows: np.ndarray,
    *,
    dtype: torch.dtype,
    spherical_harmonics: bool = False,
) -> Batch:
    """Return the PyG batch of graphs `rows` (n,) of a graphset's `arrays`, whose geometry is `geometry`.

    It equals `Batch.from_data_list` of the single samples, with `follow_batch=["z_atoms"]`.
    """
    n, atoms = len(rows), ranges(arrays["offsets"][rows], np.diff(geometry.offsets))
    batch = Batch(_base_cls=DimerData)
    batch.z_atoms = torch.tensor(arrays["z_atoms"][atoms], dtype=torch.int64)
    batch.pos_atoms = torch.tensor(geometry.positions, dtype=dtype)
    batch.atomic_node_attr = torch.tensor(arrays["atomic_node_attr"][atoms], dtype=dtype)
    batch.field_node_features = torch.tensor(geometry.field_features, dtype=dtype)
    for name in ("u", "y", "y_true_vref", "R_internal_val"):
        batch[name] = torch.tensor(arrays[name][rows], dtype=dtype)
    _add_edges(batch, geometry, dtype, spherical_harmonics)
    batch.index = torch.tensor(rows, dtype=torch.int64)
    batch.graph_id = [str(i) for i in arrays["ids"][rows]]
    batch.num_nodes = len(atoms)
    batch.batch = torch.from_numpy(geometry.graph_of_atom)
    batch.ptr = torch.tensor(geometry.offsets, dtype=torch.int64)
    batch.z_atoms_batch, batch.z_atoms_ptr = batch.batch.clone(), batch.ptr.clone()
    batch._num_graphs = n
    batch.stores[0]._num_nodes = np.diff(geometry.offsets).tolist()
    _add_slices(batch, geometry)
    return batch


def _add_edges(batch: Batch, geometry: Geometry, dtype: torch.dtype, spherical_harmonics: bool) -> None:
    """Set the directed edges: graph by graph, all its pairs as i -> j, then all as j -> i."""
    pairs = pairs_in_batch(geometry.pairs, geometry.pair_offsets, geometry.offsets)  # (ΣP, 2)
    sizes = np.diff(geometry.pair_offsets)
    there = np.arange(len(pairs)) + np.repeat(geometry.pair_offsets[:-1], sizes)  # (ΣP,) columns of i -> j
    back = there + np.repeat(sizes, sizes)
    edges = np.empty((2, 2 * len(pairs)), dtype=np.int64)
    edges[:, there], edges[:, back] = pairs.T, pairs[:, ::-1].T
    lengths = np.empty((2 * len(pairs), 1))
    lengths[there, 0] = lengths[back, 0] = geometry.distances
    batch.edge_index_atoms = torch.from_numpy(edges)
    batch.edge_attr_atoms = torch.tensor(lengths, dtype=dtype)
    if spherical_harmonics:
        forward = pair_harmonics(geometry.positions, pairs)  # (ΣP, 16)
        both = forward.new_empty((2 * len(pairs), forward.shape[1]))
        both[there], both[back] = forward, forward * REVERSED.to(forward.dtype)
        batch.edge_attr_sh = both.to(dtype)


def _add_slices(batch: Batch, geometry: Geometry) -> None:
    """Set what PyG needs to take the batch apart: where each graph's part of a field begins, and its increment."""
    n = batch.num_graphs
    begins = {
        **dict.fromkeys(_BY_ATOM, batch.ptr),
        **dict.fromkeys(_BY_EDGE, torch.tensor(2 * geometry.pair_offsets, dtype=torch.int64)),
    }
    names = sorted(set(batch.keys()) - _BOOKKEEPING)
    batch._slice_dict = {name: begins.get(name, torch.arange(n + 1)) for name in names}
    batch._inc_dict = {name: torch.zeros(n, dtype=torch.int64) for name in names}
    batch._inc_dict["edge_index_atoms"] = batch.ptr[:-1]
    batch._inc_dict["graph_id"] = None
