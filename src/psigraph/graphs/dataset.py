"""Dimers as PyG samples: from graph shards, or from a raw folder on the fly."""

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from torch_geometric.data import Batch

from psigraph.graphs.augment import Augmentation, Geometry, pairs_in_batch
from psigraph.graphs.batch import make_batch, ranges
from psigraph.graphs.data import DimerData, dimer_data, numpy_dtype
from psigraph.graphs.features import SkippedStructure
from psigraph.graphs.graph import Graph, Skipped, features_of, graph_from_structure
from psigraph.graphs.neighbours import pair_distances
from psigraph.graphs.settings import GIVEN, GraphSettings
from psigraph.graphs.shards import ShardSet, read_shards
from psigraph.structures.model import Structure

log = logging.getLogger(__name__)


class _Augmented(Dataset):
    """A dataset whose samples are augmented afresh each epoch; the random numbers depend on (seed, epoch, index)."""

    augmentation: Augmentation
    _epoch: torch.Tensor

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is served from now on."""
        self._epoch.fill_(epoch)

    def share_epoch(self) -> None:
        """Keep the epoch in shared memory, so that worker processes that live on see `set_epoch`."""
        self._epoch.share_memory_()


class CachedDimerDataset(_Augmented):
    """Dimers of a graphset's shards, in memory, optionally rotated and jittered afresh each epoch.

    `indices` picks rows of the graphset (all by default). `jitter` is the standard deviation of the noise on each
    coordinate [Å]. `expected` holds settings the shards must have been built with (`GraphSettings.identity()`). Samples
    come in `dtype` (torch's default at construction), with `edge_attr_sh` where `spherical_harmonics` is set.

    Attributes: cutoff [Å], length_scale, unit, settings, level_name, digest, digests of the graphset; arrays by sample:
    `indices`, `ids`, `groups`, `systems`, `sources`, `charges`, `n_atoms`, `theta_defined`, `u`, `y`, `y_true_vref`.

    Raises StoreError where shards are missing, damaged, incomplete or built with other settings, IndexError for an
    index outside the graphset.
    """

    def __init__(
        self,
        shard_paths: Sequence[str | Path] | ShardSet,
        *,
        indices: Sequence[int] | np.ndarray | None = None,
        rotate: bool = False,
        jitter: float = 0.0,
        seed: int = 0,
        expected: Mapping[str, Any] | None = None,
        dtype: torch.dtype | None = None,
        spherical_harmonics: bool = False,
    ) -> None:
        shards = shard_paths if isinstance(shard_paths, ShardSet) else read_shards(shard_paths, expected)
        self.settings, self.level_name = dict(shards.settings), shards.level_name
        self.digest, self.digests = shards.digest, dict(shards.digests)
        self.cutoff: float = self.settings["cutoff"]
        self.length_scale: float = self.settings["length_scale"]
        self.unit: str = self.settings["unit"]
        self._distances = _all_distances(shards, numpy_dtype(dtype))
        self.dtype = dtype or torch.get_default_dtype()
        self.spherical_harmonics = spherical_harmonics
        self._shards = shards
        self._pick(indices, rotate, jitter, seed)

    def _pick(self, indices: Sequence[int] | np.ndarray | None, rotate: bool, jitter: float, seed: int) -> None:
        shards, n = self._shards, len(self._shards)
        self.indices = np.arange(n) if indices is None else np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(self.indices) and not (self.indices.min() >= 0 and self.indices.max() < n):
            bad = self.indices[(self.indices < 0) | (self.indices >= n)][0]
            raise IndexError(f"index {bad}: the graphset has graphs 0 to {n - 1}")
        self.augmentation = Augmentation(rotate, jitter * self.length_scale, seed)
        self._epoch = torch.zeros((), dtype=torch.int64)
        self.ids, self.groups = shards["ids"][self.indices], shards["group"][self.indices]
        self.systems, self.sources = shards["system"][self.indices], shards["source"][self.indices]
        self.charges = shards["charge"][self.indices]
        self.n_atoms = np.diff(shards["offsets"])[self.indices]
        self.theta_defined = shards["theta_defined"][self.indices]
        self.u, self.y = shards["u"][self.indices], shards["y"][self.indices]
        self.y_true_vref = shards["y_true_vref"][self.indices]

    def select(
        self, indices: Sequence[int] | np.ndarray, *, rotate: bool = False, jitter: float = 0.0, seed: int = 0
    ) -> "CachedDimerDataset":
        """Return a dataset of other rows of the same graphset, which shares the arrays in memory."""
        chosen = copy.copy(self)
        chosen._pick(indices, rotate, jitter, seed)
        return chosen

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> DimerData:
        row = int(self.indices[i])
        if not self.augmentation.active:
            return self._sample(row, *self._stored(row))
        geometry = self._geometry(np.array([row]))
        return self._sample(row, geometry.positions, geometry.field_features[0], geometry.pairs, geometry.distances)

    def batch(self, positions: Sequence[int]) -> Batch:
        """Return several samples as one PyG batch with `z_atoms_batch`; it equals PyG's collation of the samples."""
        rows = self.indices[np.asarray(positions, dtype=np.int64)]
        return make_batch(
            self._shards.arrays,
            self._geometry(rows),
            rows,
            dtype=self.dtype,
            spherical_harmonics=self.spherical_harmonics,
        )

    def _stored(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return positions, field features, pairs and distances of a graph as they stand in the shard."""
        s = self._shards
        a, b = s["offsets"][row], s["offsets"][row + 1]
        p, q = s["pair_offsets"][row], s["pair_offsets"][row + 1]
        return s["pos_atoms"][a:b], s["field_node_features"][row], s["pairs"][p:q], self._distances[p:q]

    def _geometry(self, rows: np.ndarray) -> Geometry:
        """Return the geometry of graphs `rows` (n,) in this epoch, augmented where that is asked for."""
        s = self._shards
        starts, pair_starts = s["offsets"][rows], s["pair_offsets"][rows]
        sizes, pair_sizes = s["offsets"][rows + 1] - starts, s["pair_offsets"][rows + 1] - pair_starts
        pairs = ranges(pair_starts, pair_sizes)
        geometry = Geometry(
            positions=s["pos_atoms"][ranges(starts, sizes)],
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            pairs=s["pairs"][pairs],
            pair_offsets=np.concatenate([[0], np.cumsum(pair_sizes)]),
            distances=self._distances[pairs],
            field_features=s["field_node_features"][rows],
        )
        if not self.augmentation.active:
            return geometry
        return self.augmentation.apply(geometry, rows.tolist(), self.epoch, self.cutoff * self.length_scale)

    def _sample(
        self, row: int, positions: np.ndarray, field_features: np.ndarray, pairs: np.ndarray, distances: np.ndarray
    ) -> DimerData:
        s = self._shards
        a, b = s["offsets"][row], s["offsets"][row + 1]
        return dimer_data(
            z_atoms=s["z_atoms"][a:b],
            pos_atoms=positions,
            atomic_node_attr=s["atomic_node_attr"][a:b],
            field_node_features=field_features,
            u=s["u"][row],
            y=s["y"][row],
            y_true_vref=s["y_true_vref"][row],
            R_internal_val=s["R_internal_val"][row],
            pairs=pairs,
            distances=distances,
            index=row,
            graph_id=str(s["ids"][row]),
            dtype=self.dtype,
            spherical_harmonics=self.spherical_harmonics,
        )


class DimerDataset(_Augmented):
    """Dimers of a raw folder (meta.xlsx or meta.csv, PDB pairs, NPZ), each graph built when it is asked for.

    `placement` is `stacked` (each monomer centred, B moved along +z by R) or `as_given`. `cutoff` [Å]; `length_scale`
    internal units per Å; `unit` is the energy unit of the folder's labels where the column names do not say it, and of
    the samples. `level` is `given` (populations and moments of the NPZ files) or None (zeros); `v0` is `column` or
    `zero`. With `augment`, samples are rotated and jittered (`jitter`: standard deviation of each coordinate's noise
    [Å]) afresh each epoch.

    The rows pass the checks of the structures stage. Those that cannot be read or become no graph are in `skipped`,
    with their reasons, and logged. Raises StructureError where the folder cannot be used or no row is left.
    """

    def __init__(
        self,
        root_dir: str | Path,
        *,
        placement: str = "stacked",
        cutoff: float = 12.0,
        length_scale: float = 0.1,
        unit: str | None = None,
        augment: bool = False,
        jitter: float = 0.01,
        seed: int = 0,
        level: str | None = GIVEN,
        v0: str = "column",
        dtype: torch.dtype | None = None,
        spherical_harmonics: bool = False,
    ) -> None:
        # these bring pandas and rdkit, which reading shards does not need
        from psigraph.config import RawFolder
        from psigraph.structures.build import load_dataset

        section = {"source": "raw_folder", "path": root_dir, "placement": placement, "unit": unit, "max_rejected": 1.0}
        found = load_dataset(RawFolder.model_validate(section), Path(root_dir).name)
        self.unit = found.unit
        self._settings = GraphSettings(
            cutoff=cutoff, length_scale=length_scale, level=level, level_name=level or "", v0=v0, unit=self.unit
        )
        self.settings = self._settings.identity()
        self.cutoff, self.length_scale = cutoff, length_scale
        numpy_dtype(dtype)
        self.dtype = dtype or torch.get_default_dtype()
        self.spherical_harmonics = spherical_harmonics
        self.augmentation = Augmentation(augment, jitter * length_scale if augment else 0.0, seed)
        self._epoch = torch.zeros((), dtype=torch.int64)
        self.skipped = [Skipped(item.id, item.source, f"row {item.row}: {item.reason}") for item in found.rejected]
        self.structures: list[Structure] = []
        for structure in found.structures:
            try:
                self._graph(structure)
                self.structures.append(structure)
            except SkippedStructure as error:
                self.skipped.append(Skipped(structure.id, structure.source, str(error)))
        for item in self.skipped:
            log.warning("left out %s (%s): %s", item.id, item.source, item.reason)

    def __len__(self) -> int:
        return len(self.structures)

    def __getitem__(self, i: int) -> DimerData:
        graph = self._graph(self.structures[i])
        geometry = _geometry_of(graph)
        if self.augmentation.active:
            geometry = self.augmentation.apply(geometry, [i], self.epoch, self.cutoff * self.length_scale)
        return dimer_data(
            z_atoms=graph.z_atoms,
            pos_atoms=geometry.positions,
            atomic_node_attr=graph.atomic_node_attr,
            field_node_features=geometry.field_features[0],
            u=graph.u,
            y=graph.y,
            y_true_vref=graph.y_true_vref,
            R_internal_val=graph.R_internal_val,
            pairs=geometry.pairs,
            distances=geometry.distances,
            index=i,
            graph_id=graph.id,
            dtype=self.dtype,
            spherical_harmonics=self.spherical_harmonics,
        )

    def _graph(self, structure: Structure) -> Graph:
        features = features_of(structure, self._settings)
        return graph_from_structure(structure, self._settings, features, unit=self.unit)


def _all_distances(shards: ShardSet, kind: Any, block: int = 500) -> np.ndarray:
    """Return the distances (ΣP,) of all pairs of a graphset in the type `kind`, `block` graphs at a time."""
    offsets, pair_offsets = shards["offsets"], shards["pair_offsets"]
    distances = np.empty(len(shards["pairs"]), dtype=kind)
    for first in range(0, len(shards), block):
        here = slice(first, first + block + 1)
        rows = slice(pair_offsets[here][0], pair_offsets[here][-1])
        pairs = pairs_in_batch(shards["pairs"][rows], pair_offsets[here], offsets[here])
        distances[rows] = pair_distances(shards["pos_atoms"], pairs)
    return distances


def _geometry_of(graph: Graph) -> Geometry:
    """Return one graph as a batch of one."""
    return Geometry(
        positions=graph.pos_atoms,
        offsets=np.array([0, len(graph.pos_atoms)]),
        pairs=graph.pairs,
        pair_offsets=np.array([0, len(graph.pairs)]),
        distances=pair_distances(graph.pos_atoms, graph.pairs),
        field_features=graph.field_node_features[None],
    )
