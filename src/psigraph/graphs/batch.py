"""Batches of dimers as plain tensors, cut from flat arrays.

A batch is assembled for many graphs at once (`assemble`), and a part of a batch is a batch: slices of its tensors, with
the counts of atoms and pairs beginning at 0 again (`Batch.part`). PyG's `Batch` is a view (`GraphBatch.to_pyg`).

Legend of shapes: B graphs, ΣN atoms, ΣP undirected pairs, K columns of the graphset's `atom_features`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from psigraph.graphs.augment import Augmentation, Geometry
from psigraph.graphs.columns import Columns, layout_of, offsets_of, ranges, take_rows
from psigraph.graphs.parts import GRAPHS, Batch, Bounds, Rows

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


@dataclass
class GraphBatch(Batch):
    """B graphs by the names of `psigraph.fields`; what models take and loaders yield.

    Floating-point tensors are of one dtype. `pairs` holds each undirected pair once, graph by graph, counted in the
    batch's atoms; `index` the rows in the graphset; `global_size` the graphs of the batch over all processes. `names`
    looks up ids for messages; it stays behind when a batch goes to another process.
    """

    z_atoms: Annotated[Tensor, Rows("z_atoms_ptr")]  # (ΣN,) int64
    pos_atoms: Annotated[Tensor, Rows("z_atoms_ptr")]  # (ΣN, 3)
    atomic_node_attr: Annotated[Tensor, Rows("z_atoms_ptr")]  # (ΣN, K)
    field_node_features: Annotated[Tensor, Rows()]  # (B, 8)
    u: Annotated[Tensor, Rows()]  # (B, 4)
    y: Annotated[Tensor, Rows()]  # (B,)
    y_true_vref: Annotated[Tensor, Rows()]  # (B,)
    R_internal_val: Annotated[Tensor, Rows()]  # (B,)
    pairs: Annotated[Tensor, Rows("pair_ptr", within="z_atoms_ptr")]  # (ΣP, 2) int64
    z_atoms_batch: Annotated[Tensor, Rows("z_atoms_ptr", within=GRAPHS)]  # (ΣN,) int64, the graph of each atom
    z_atoms_ptr: Annotated[Tensor, Bounds()]  # (B+1,) int64, where each graph's atoms begin
    pair_ptr: Annotated[Tensor, Bounds()]  # (B+1,) int64, where each graph's pairs begin
    index: Annotated[Tensor, Rows()]  # (B,) int64
    global_size: int
    names: Callable[[list[int]], list[str]] | None = None

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
    index: np.ndarray,
    augmentation: Augmentation,
    epoch: int,
    cutoff: float,
    names: Callable[[list[int]], list[str]] | None = None,
) -> GraphBatch:
    """Return graphs `where` (B,) of `columns`, which are the graphs `index` (B,) of the graphset, as one batch.

    `augmentation` is that of `index` in `epoch`; the cutoff of the pairs is in internal units. The batch shares no
    memory with the columns.
    """
    layout = layout_of("delta")
    starts = columns.offsets["offsets"][where]
    sizes = columns.offsets["offsets"][where + 1] - starts
    atoms, offsets = ranges(starts, sizes), offsets_of(sizes)
    values = {name: columns.values[name].take(atoms, axis=0) for name in layout.counted_by("offsets")}
    values |= {name: columns.values[name].take(where, axis=0) for name in layout.counted_by(None)}
    geometry = Geometry(values["pos_atoms"], offsets, values["field_node_features"])
    if augmentation.jitter > 0:
        pairs, pair_offsets = augmentation.displace(geometry, index, epoch, cutoff)
    else:
        pair_starts = columns.offsets["pair_offsets"][where]
        pair_sizes = columns.offsets["pair_offsets"][where + 1] - pair_starts
        pairs = take_rows(columns.values["pairs"], ranges(pair_starts, pair_sizes))
        pair_offsets = offsets_of(pair_sizes)
    if augmentation.rotate:
        augmentation.turn(geometry, index, epoch)
    tensors = {name: torch.from_numpy(found) for name, found in values.items()}
    tensors["z_atoms"] = tensors["z_atoms"].long()
    return GraphBatch(
        **tensors,
        pairs=torch.from_numpy(pairs + np.repeat(offsets[:-1], np.diff(pair_offsets))[:, None]),
        z_atoms_batch=torch.from_numpy(np.repeat(np.arange(len(index)), sizes)),
        z_atoms_ptr=torch.from_numpy(offsets),
        pair_ptr=torch.from_numpy(pair_offsets),
        index=torch.from_numpy(index.astype(np.int64)),
        global_size=len(index),
        names=names,
    )
