"""Dimers of graph shards as batches and as PyG samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from psigraph.graphs.augment import Augmentation
from psigraph.graphs.batch import GraphBatch, assemble
from psigraph.graphs.columns import ranges
from psigraph.graphs.shards import ShardSet
from psigraph.graphs.sources import GraphSource, ShardDataset, Window, by_sample

__all__ = ["CachedDimerDataset", "DimerSource", "Window"]


class DimerSource(GraphSource[GraphBatch]):
    """What the two datasets of dimers have in common; subclasses set the attributes and give `window`."""

    cutoff: float  # Å
    length_scale: float
    dtype: torch.dtype
    spherical_harmonics: bool
    augmentation: Augmentation

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch's augmentation samples and `batch` have from now on; loaders have their own."""
        self.epoch = epoch

    def assemble(self, window: Window, first: int, last: int, epoch: int) -> GraphBatch:
        """Return graphs first..last-1 of a window as one batch, augmented as in `epoch`."""
        return assemble(
            window.columns,
            window.where[first:last],
            window.rows[first:last],
            self.augmentation,
            epoch,
            self.cutoff * self.length_scale,
            self.ids_of,
        )

    def __getitem__(self, i: int) -> Any:
        """Return one sample as PyG `DimerData`."""
        from psigraph.graphs.data import sample_of  # PyG takes a second to import

        if not 0 <= i < len(self):
            raise IndexError(f"sample {i}: the dataset has samples 0 to {len(self) - 1}")
        return sample_of(self.batch([i]), self.spherical_harmonics)


class CachedDimerDataset(ShardDataset[GraphBatch], DimerSource):
    """Dimers of a graphset's shards, optionally rotated and jittered afresh each epoch.

    Parameters and attributes as of `ShardDataset`. `jitter` is the standard deviation of the noise on each coordinate
    [Å]. PyG samples have `edge_attr_sh` where `spherical_harmonics` is set. Further attributes: cutoff [Å],
    length_scale, unit; arrays by sample: `theta_defined`, `u`, `y`, `y_true_vref`.
    """

    family = "delta"

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
        memory: int | None = None,
    ) -> None:
        super().__init__(shard_paths, indices=indices, expected=expected, dtype=dtype, memory=memory)
        self.cutoff: float = self.settings["cutoff"]
        self.length_scale: float = self.settings["length_scale"]
        self.unit: str = self.settings["unit"]
        self.spherical_harmonics = spherical_harmonics
        self.augmentation = Augmentation(rotate, jitter * self.length_scale, seed)

    def select(
        self, indices: Sequence[int] | np.ndarray, *, rotate: bool = False, jitter: float = 0.0, seed: int = 0
    ) -> "CachedDimerDataset":
        """Return a dataset of other rows of the same graphset, which shares the arrays in memory."""
        chosen = self._selected(indices)
        chosen.augmentation = Augmentation(rotate, jitter * self.length_scale, seed)
        return chosen

    def normalisation_arrays(self) -> dict[str, torch.Tensor]:
        """Return u (n, 4), y (n,), field_node_features (n, 8), atomic_node_attr (ΣN, K) and z_atoms (ΣN,) as stored.

        Floating-point tensors are of the dataset's dtype; nothing is augmented.
        """
        by_atom, by_graph = ("atomic_node_attr", "z_atoms"), ("u", "y", "field_node_features")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*by_atom, *by_graph)}
        for first in range(0, max(len(self), 1), self.window_graphs):
            window = self.window(np.arange(first, min(first + self.window_graphs, len(self))))
            starts = window.columns.offsets["offsets"][window.where]
            atoms = ranges(starts, window.columns.offsets["offsets"][window.where + 1] - starts)
            for name in by_atom:
                parts[name].append(window.columns.values[name].take(atoms, axis=0))
            for name in by_graph:
                parts[name].append(window.columns.values[name].take(window.where, axis=0))
        arrays = {name: torch.from_numpy(np.concatenate(found)) for name, found in parts.items()}
        return arrays | {"z_atoms": arrays["z_atoms"].long()}

    theta_defined = by_sample("theta_defined")
    u = by_sample("u")
    y = by_sample("y")
    y_true_vref = by_sample("y_true_vref")
