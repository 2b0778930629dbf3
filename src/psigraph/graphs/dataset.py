"""Dimers of graph shards as batches and as PyG samples, in memory where they fit, else mapped from disk."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from psigraph.graphs.augment import Augmentation
from psigraph.graphs.batch import GraphBatch, assemble, numpy_dtype
from psigraph.graphs.columns import Columns, ranges
from psigraph.graphs.reading import ShardReader
from psigraph.graphs.shards import ShardSet, read_shards
from psigraph.memory import available_memory

_SHARE = 4  # the share of the available memory that graphs take is 1 / _SHARE
_WINDOW = 8192  # graphs whose order is computed at once where they are in memory
_LARGEST_WINDOW = 512 * 2**20  # bytes of graphs read at once where they are not


@dataclass(frozen=True)
class Window:
    """Some graphs in an order: graph i is graph `where[i]` of `columns` and row `rows[i]` of the graphset."""

    columns: Columns
    where: np.ndarray
    rows: np.ndarray


class DimerSource(Dataset):
    """What the two datasets of dimers have in common; subclasses set the attributes and give `window`."""

    cutoff: float  # Å
    length_scale: float
    dtype: torch.dtype
    spherical_harmonics: bool
    augmentation: Augmentation
    window_graphs: int  # how many graphs `window` is to be asked for at once
    epoch: int = 0

    def window(self, positions: np.ndarray) -> Window:
        """Return the graphs at `positions` (m,) of this dataset."""
        raise NotImplementedError

    def ids_of(self, rows: list[int]) -> list[str]:
        """Return the ids of a few rows of the graphset."""
        raise NotImplementedError

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

    def batch(self, positions: Sequence[int] | np.ndarray) -> GraphBatch:
        """Return several samples as one batch."""
        window = self.window(np.asarray(positions, dtype=np.int64))
        return self.assemble(window, 0, len(window.rows), self.epoch)

    def __getitem__(self, i: int) -> Any:
        """Return one sample as PyG `DimerData`."""
        from psigraph.graphs.data import sample_of  # PyG takes a second to import

        if not 0 <= i < len(self):  # type: ignore[arg-type]
            raise IndexError(f"sample {i}: the dataset has samples 0 to {len(self) - 1}")  # type: ignore[arg-type]
        return sample_of(self.batch([i]), self.spherical_harmonics)


def _by_sample(column: str) -> Any:
    """Return a read-only attribute: a column's values for a dataset's samples, read when first asked for."""
    return property(lambda dataset: dataset._of_samples(column))


class CachedDimerDataset(DimerSource):
    """Dimers of a graphset's shards, optionally rotated and jittered afresh each epoch.

    `indices` picks rows of the graphset (all by default). `jitter` is the standard deviation of the noise on each
    coordinate [Å]. `expected` holds settings the shards must have been built with (`GraphSettings.identity()`).
    Batches come in `dtype` (torch's default at construction); PyG samples have `edge_attr_sh` where
    `spherical_harmonics` is set. `memory` [bytes] is what the graphs may take, a quarter of the available memory by
    default: graphs that fit lie in memory, others are read from disk a window at a time; batches are the same.

    Attributes: cutoff [Å], length_scale, unit, settings, level_name, digest, digests of the graphset; arrays by sample,
    read from the shards when they are first asked for: `ids`, `groups`, `systems`, `sources`, `charges`, `n_atoms`,
    `theta_defined`, `u`, `y`, `y_true_vref`.

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
        memory: int | None = None,
    ) -> None:
        shards = shard_paths if isinstance(shard_paths, ShardSet) else read_shards(shard_paths, expected)
        self.settings, self.level_name = dict(shards.settings), shards.level_name
        self.digest, self.digests = shards.digest, dict(shards.digests)
        self.cutoff, self.length_scale = self.settings["cutoff"], self.settings["length_scale"]
        self.unit: str = self.settings["unit"]
        self.dtype = dtype or torch.get_default_dtype()
        self.spherical_harmonics = spherical_harmonics
        self._shards, self._reader = shards, ShardReader(shards, numpy_dtype(dtype))
        self._columns = self._load(available_memory() // _SHARE if memory is None else memory)
        self._pick(indices, rotate, jitter, seed)

    def _load(self, memory: int) -> Columns | None:
        """Return all graphs where they fit in `memory` bytes; else say how many are read at once."""
        if self._reader.nbytes <= memory:
            self.window_graphs = _WINDOW
            return self._reader.read(np.arange(len(self._reader)))
        each = self._reader.nbytes / len(self._reader)
        self.window_graphs = max(int(min(memory / _SHARE, _LARGEST_WINDOW) / each), 1)
        return None

    def _pick(self, indices: Sequence[int] | np.ndarray | None, rotate: bool, jitter: float, seed: int) -> None:
        n = len(self._shards)
        self.indices = np.arange(n) if indices is None else np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(self.indices) and not (self.indices.min() >= 0 and self.indices.max() < n):
            bad = self.indices[(self.indices < 0) | (self.indices >= n)][0]
            raise IndexError(f"index {bad}: the graphset has graphs 0 to {n - 1}")
        self.augmentation = Augmentation(rotate, jitter * self.length_scale, seed)
        self.epoch = 0
        self._by_sample: dict[str, np.ndarray] = {}

    def select(
        self, indices: Sequence[int] | np.ndarray, *, rotate: bool = False, jitter: float = 0.0, seed: int = 0
    ) -> "CachedDimerDataset":
        """Return a dataset of other rows of the same graphset, which shares the arrays in memory."""
        chosen = copy.copy(self)
        chosen._pick(indices, rotate, jitter, seed)
        return chosen

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def in_memory(self) -> bool:
        return self._columns is not None

    def window(self, positions: np.ndarray) -> Window:
        rows = self.indices[positions]
        if self._columns is not None:
            return Window(self._columns, rows, rows)
        once, where = np.unique(rows, return_inverse=True)  # sorted: the files are read from front to back
        return Window(self._reader.read(once), where, rows)

    def ids_of(self, rows: list[int]) -> list[str]:
        return self._shards.ids_of(rows)

    def normalisation_arrays(self) -> dict[str, torch.Tensor]:
        """Return u (n, 4), y (n,), field_node_features (n, 8), atomic_node_attr (ΣN, K) and z_atoms (ΣN,) as stored.

        Floating-point tensors are of the dataset's dtype; nothing is augmented.
        """
        by_atom, by_graph = ("atomic_node_attr", "z_atoms"), ("u", "y", "field_node_features")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*by_atom, *by_graph)}
        for first in range(0, max(len(self), 1), self.window_graphs):
            window = self.window(np.arange(first, min(first + self.window_graphs, len(self))))
            starts = window.columns.offsets[window.where]
            atoms = ranges(starts, window.columns.offsets[window.where + 1] - starts)
            for name in by_atom:
                parts[name].append(window.columns.by_atom[name].take(atoms, axis=0))
            for name in by_graph:
                parts[name].append(window.columns.by_graph[name].take(window.where, axis=0))
        arrays = {name: torch.from_numpy(np.concatenate(found)) for name, found in parts.items()}
        return arrays | {"z_atoms": arrays["z_atoms"].long()}

    def _of_samples(self, name: str) -> np.ndarray:
        if name not in self._by_sample:
            column = self._shards[name]
            self._by_sample[name] = (np.diff(column) if name == "offsets" else column)[self.indices]
        return self._by_sample[name]

    ids = _by_sample("ids")
    groups = _by_sample("group")
    systems = _by_sample("system")
    sources = _by_sample("source")
    charges = _by_sample("charge")
    n_atoms = _by_sample("offsets")
    theta_defined = _by_sample("theta_defined")
    u = _by_sample("u")
    y = _by_sample("y")
    y_true_vref = _by_sample("y_true_vref")
