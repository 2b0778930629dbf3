"""The PyG view of a batch: what PyG's collation of its samples gives, with the slices that take it apart again."""

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

from psigraph.graphs.batch import GraphBatch
from psigraph.graphs.columns import layout_of
from psigraph.graphs.data import REVERSED, DimerData, pair_harmonics
from psigraph.graphs.neighbours import pair_distances

_BOOKKEEPING = {"num_nodes", "batch", "ptr", "z_atoms_batch", "z_atoms_ptr"}
_BY_ATOM = layout_of("delta").counted_by("offsets")
_BY_EDGE = ("edge_index_atoms", "edge_attr_atoms", "edge_attr_sh")


def pyg_batch(graphs: GraphBatch, spherical_harmonics: bool = False) -> Any:
    """Return `Batch.from_data_list(samples, follow_batch=["z_atoms"])` of samples; tensors are copies, on the CPU."""
    batch = Batch(_base_cls=DimerData)
    for name in (*_BY_ATOM, *layout_of("delta").counted_by(None)):
        batch[name] = graphs[name].clone()
    batch.edge_index_atoms = graphs.edge_index_atoms
    positions, pairs = graphs.pos_atoms.numpy(), graphs.pairs.numpy()
    lengths = torch.from_numpy(pair_distances(positions, pairs)[:, None])
    batch.edge_attr_atoms = _both_directions(graphs, lengths, torch.ones(1))
    if spherical_harmonics:
        harmonics = _both_directions(graphs, pair_harmonics(positions, pairs), REVERSED)
        batch.edge_attr_sh = harmonics.to(graphs.pos_atoms.dtype)
    batch.index, batch.graph_id = graphs.index.clone(), graphs.graph_id
    batch.num_nodes = len(graphs.z_atoms)
    batch.batch, batch.ptr = graphs.z_atoms_batch.clone(), graphs.z_atoms_ptr.clone()
    batch.z_atoms_batch, batch.z_atoms_ptr = batch.batch.clone(), batch.ptr.clone()
    batch._num_graphs = graphs.num_graphs
    batch.stores[0]._num_nodes = graphs.z_atoms_ptr.diff().tolist()
    _add_slices(batch, graphs)
    return batch


def _both_directions(graphs: GraphBatch, values: Tensor, reversed_sign: Tensor) -> Tensor:
    """Return rows for the directed edges (2 ΣP, d), in their order, from rows for the pairs i -> j (ΣP, d)."""
    forward = values.split(graphs.pair_ptr.diff().tolist())
    sign = reversed_sign.to(values.dtype)
    return torch.cat([part for rows in forward for part in (rows, rows * sign)]) if forward else values


def _add_slices(batch: Any, graphs: GraphBatch) -> None:
    """Set what PyG needs to take the batch apart: where each graph's part of a field begins, and its increment."""
    n = graphs.num_graphs
    begins = {**dict.fromkeys(_BY_ATOM, batch.ptr), **dict.fromkeys(_BY_EDGE, 2 * graphs.pair_ptr)}
    names = sorted(set(batch.keys()) - _BOOKKEEPING)
    batch._slice_dict = {name: begins.get(name, torch.arange(n + 1)) for name in names}
    batch._inc_dict = {name: torch.zeros(n, dtype=torch.int64) for name in names}
    batch._inc_dict["edge_index_atoms"] = batch.ptr[:-1]
    batch._inc_dict["graph_id"] = None
