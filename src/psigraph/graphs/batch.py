"""Batches of graphs as plain tensors, cut from flat arrays.

A batch is assembled for many graphs at once (`assemble`), and a part of a batch is a batch: slices of its tensors, with
the counts of atoms and pairs beginning at 0 again (`GraphBatch.part`). PyG's `Batch` is a view (`GraphBatch.to_pyg`).

Legend of shapes: B graphs, ΣN atoms, ΣP undirected pairs, K columns of the graphset's `atom_features`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psigraph.graphs.augment import Augmentation, Geometry
from psigraph.graphs.columns import BY_ATOM, BY_GRAPH, Columns, offsets_of, ranges, take_pairs

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


@dataclass
class GraphBatch:
    """B graphs by the names of `psigraph.fields`; what models take and loaders yield.

    Floating-point tensors are of one dtype. `pairs` holds each undirected pair once, graph by graph, counted in the
    batch's atoms; `index` the rows in the graphset; `global_size` the graphs of the batch over all processes. `names`
    looks up ids for messages; it stays behind when a batch goes to another process.
    """

    z_atoms: Tensor  # (ΣN,) int64
    pos_atoms: Tensor  # (ΣN, 3)
    atomic_node_attr: Tensor  # (ΣN, K)
    field_node_features: Tensor  # (B, 8)
    u: Tensor  # (B, 4)
    y: Tensor  # (B,)
    y_true_vref: Tensor  # (B,)
    R_internal_val: Tensor  # (B,)
    pairs: Tensor  # (ΣP, 2) int64
    z_atoms_batch: Tensor  # (ΣN,) int64, the graph of each atom
    z_atoms_ptr: Tensor  # (B+1,) int64, where each graph's atoms begin
    pair_ptr: Tensor  # (B+1,) int64, where each graph's pairs begin
    index: Tensor  # (B,) int64
    global_size: int
    names: Callable[[list[int]], list[str]] | None = None

    @property
    def num_graphs(self) -> int:
        return self.index.shape[0]

    @property
    def graph_id(self) -> list[str]:
        """The ids of the graphs (B), read from the shards; for messages."""
        rows = self.index.tolist()
        return self.names(rows) if self.names else [f"row {row}" for row in rows]

    @property
    def edge_index_atoms(self) -> Tensor:
        """The directed edges (2, 2 ΣP): graph by graph, all its pairs as i -> j, then all as j -> i."""
        sizes = self.pair_ptr.diff()
        shift = torch.repeat_interleave(self.pair_ptr[:-1], sizes)  # (ΣP,) columns of all graphs before
        there = torch.arange(len(self.pairs), device=shift.device) + shift
        back = there + torch.repeat_interleave(sizes, sizes)
        edges = self.pairs.new_empty((2, 2 * len(self.pairs)))
        edges[:, there], edges[:, back] = self.pairs.T, self.pairs.flip(1).T
        return edges

    def __contains__(self, name: str) -> bool:
        return hasattr(self, name)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "names": None}

    def part(self, first: int, last: int) -> "GraphBatch":
        """Return graphs first..last-1 as a batch that shares memory with this one; `global_size` stays."""
        (a, b), (p, q) = self.z_atoms_ptr[[first, last]].tolist(), self.pair_ptr[[first, last]].tolist()
        return self._cut(first, last, a, b, p, q, self.global_size)

    def parts(self, sizes: list[int], global_sizes: list[int]) -> "list[GraphBatch | None]":
        """Return the batch cut into batches of `sizes` graphs, which share its memory; None for a size of 0."""
        atoms, pairs = self.z_atoms_ptr.tolist(), self.pair_ptr.tolist()
        out: list[GraphBatch | None] = []
        first = 0
        for size, whole in zip(sizes, global_sizes, strict=True):
            last = first + size
            cut = self._cut(first, last, atoms[first], atoms[last], pairs[first], pairs[last], whole) if size else None
            out.append(cut)
            first = last
        return out

    def _cut(self, first: int, last: int, a: int, b: int, p: int, q: int, global_size: int) -> "GraphBatch":
        """Return graphs first..last-1, whose atoms are a..b-1 and whose pairs are p..q-1."""
        return GraphBatch(
            self.z_atoms[a:b],
            self.pos_atoms[a:b],
            self.atomic_node_attr[a:b],
            self.field_node_features[first:last],
            self.u[first:last],
            self.y[first:last],
            self.y_true_vref[first:last],
            self.R_internal_val[first:last],
            self.pairs[p:q] - a,
            self.z_atoms_batch[a:b] - first,
            self.z_atoms_ptr[first : last + 1] - a,
            self.pair_ptr[first : last + 1] - p,
            self.index[first:last],
            global_size,
            self.names,
        )

    def to(self, device: Any, non_blocking: bool = False) -> "GraphBatch":
        """Return the batch on another device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "GraphBatch":
        """Return the batch in page-locked memory, from which copies to a GPU overlap with its work."""
        return self._mapped(Tensor.pin_memory)

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> "GraphBatch":
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors = {name: change(value) for name, value in values.items() if torch.is_tensor(value)}
        return GraphBatch(**{**values, **tensors})

    def to_pyg(self, spherical_harmonics: bool = False) -> Any:
        """Return the PyG batch of `DimerData` samples, with ids, directed edges, distances and, if asked, harmonics."""
        from psigraph.graphs.pyg import pyg_batch  # PyG takes a second to import

        return pyg_batch(self, spherical_harmonics)


def numpy_dtype(dtype: torch.dtype | None) -> Any:
    """Return the NumPy type of a torch type (None: torch's default). Raises ValueError but for float32 and float64."""
    dtype = dtype or torch.get_default_dtype()
    if dtype not in _NUMPY:
        raise ValueError(f"samples come as float32 or float64, not {dtype}; lower precision is the training's business")
    return _NUMPY[dtype]


def assemble(
    columns: Columns,
    where: np.ndarray,
    rows: np.ndarray,
    augmentation: Augmentation,
    epoch: int,
    cutoff: float,
    names: Callable[[list[int]], list[str]] | None = None,
) -> GraphBatch:
    """Return graphs `where` (B,) of `columns`, which are the graphs `rows` (B,) of the graphset, as one batch.

    `augmentation` is that of `rows` in `epoch`; the cutoff of the pairs is in internal units. The batch shares no
    memory with the columns.
    """
    starts = columns.offsets[where]
    sizes = columns.offsets[where + 1] - starts
    atoms, offsets = ranges(starts, sizes), offsets_of(sizes)
    by_atom = {name: columns.by_atom[name].take(atoms, axis=0) for name in BY_ATOM}
    by_graph = {name: columns.by_graph[name].take(where, axis=0) for name in BY_GRAPH}
    geometry = Geometry(by_atom["pos_atoms"], offsets, by_graph["field_node_features"])
    if augmentation.jitter > 0:
        pairs, pair_offsets = augmentation.displace(geometry, rows, epoch, cutoff)
    else:
        pair_starts = columns.pair_offsets[where]
        pair_sizes = columns.pair_offsets[where + 1] - pair_starts
        pairs, pair_offsets = take_pairs(columns.pairs, ranges(pair_starts, pair_sizes)), offsets_of(pair_sizes)
    if augmentation.rotate:
        augmentation.turn(geometry, rows, epoch)
    tensors = {name: torch.from_numpy(values) for name, values in (by_atom | by_graph).items()}
    tensors["z_atoms"] = tensors["z_atoms"].long()
    return GraphBatch(
        **tensors,
        pairs=torch.from_numpy(pairs + np.repeat(offsets[:-1], np.diff(pair_offsets))[:, None]),
        z_atoms_batch=torch.from_numpy(np.repeat(np.arange(len(rows)), sizes)),
        z_atoms_ptr=torch.from_numpy(offsets),
        pair_ptr=torch.from_numpy(pair_offsets),
        index=torch.from_numpy(rows.astype(np.int64)),
        global_size=len(rows),
        names=names,
    )
