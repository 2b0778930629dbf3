"""Graphs that batches can be made of, whatever their family: from shards, in memory where they fit, else from disk."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset

from psigraph.graphs.batch import numpy_dtype
from psigraph.graphs.columns import Columns
from psigraph.graphs.parts import Batch
from psigraph.graphs.reading import ShardReader
from psigraph.graphs.shards import ShardSet, read_shards
from psigraph.memory import available_memory
from psigraph.stores import StoreError

_SHARE = 4  # the share of the available memory that graphs take is 1 / _SHARE
_WINDOW = 8192  # graphs whose order is computed at once where they are in memory
_LARGEST_WINDOW = 512 * 2**20  # bytes of graphs read at once where they are not

AnyBatch = TypeVar("AnyBatch", bound=Batch)


@dataclass(frozen=True)
class Window:
    """Some graphs in an order: graph i is graph `where[i]` of `columns` and row `rows[i]` of the graphset."""

    columns: Columns
    where: np.ndarray
    rows: np.ndarray


class GraphSource(Dataset, Generic[AnyBatch]):
    """What loaders make batches of; subclasses say how, and have a length."""

    window_graphs: int  # how many graphs `window` is to be asked for at once
    epoch: int = 0

    @property
    def side_by_side(self) -> np.ndarray | None:
        """Numbers (n,) of samples: those with the same one stand side by side in a shuffled epoch. None: no matter."""
        return None

    def __len__(self) -> int:
        raise NotImplementedError

    def window(self, positions: np.ndarray) -> Window:
        """Return the graphs at `positions` (m,) of this dataset."""
        raise NotImplementedError

    def ids_of(self, rows: list[int]) -> list[str]:
        """Return the ids of a few rows of the graphset."""
        raise NotImplementedError

    def assemble(self, window: Window, first: int, last: int, epoch: int) -> AnyBatch:
        """Return graphs first..last-1 of a window as one batch, as they are in `epoch`."""
        raise NotImplementedError

    def batch(self, positions: Sequence[int] | np.ndarray) -> AnyBatch:
        """Return several samples as one batch."""
        window = self.window(np.asarray(positions, dtype=np.int64))
        return self.assemble(window, 0, len(window.rows), self.epoch)


def by_sample(column: str) -> Any:
    """Return a read-only attribute: a column's values for a dataset's samples, read when first asked for."""
    return property(lambda dataset: dataset._of_samples(column))


class ShardDataset(GraphSource[AnyBatch]):
    """Graphs of a graphset's shards.

    `indices` picks rows of the graphset (all by default). `expected` holds settings the shards must have been built
    with (`identity()` of the graphset's settings). `memory` [bytes] is what the graphs may take, a quarter of the
    available memory by default: graphs that fit lie in memory, others are read from disk a window at a time; batches
    are the same. Batches come in `dtype` (torch's default at construction).

    Attributes: settings, level_name, digest, digests of the graphset; arrays by sample, read from the
    shards when they are first asked for: `ids`, `groups`, `systems`, `sources`, `charges`, `n_atoms`.

    Raises StoreError where shards are missing, damaged, incomplete or built with other settings, IndexError for an
    index outside the graphset.
    """

    family: str

    def __init__(
        self,
        shard_paths: Sequence[str | Path] | ShardSet,
        *,
        indices: Sequence[int] | np.ndarray | None = None,
        expected: Mapping[str, Any] | None = None,
        dtype: torch.dtype | None = None,
        memory: int | None = None,
    ) -> None:
        shards = shard_paths if isinstance(shard_paths, ShardSet) else read_shards(shard_paths, expected)
        if shards.layout.family != self.family:
            raise StoreError(
                f"{shards.shards[0].path}: holds graphs of family {shards.layout.family!r}, expected {self.family!r}; "
                f"name a graphset of family {self.family}"
            )
        self.settings, self.level_name = dict(shards.settings), shards.level_name
        self.digest, self.digests = shards.digest, dict(shards.digests)
        self.dtype = dtype or torch.get_default_dtype()
        self._shards, self._reader = shards, ShardReader(shards, numpy_dtype(dtype))
        self._columns = self._load(available_memory() // _SHARE if memory is None else memory)
        self._pick(indices)

    def _load(self, memory: int) -> Columns | None:
        """Return all graphs where they fit in `memory` bytes; else say how many are read at once."""
        if self._reader.nbytes <= memory:
            self.window_graphs = _WINDOW
            return self._reader.read(np.arange(len(self._reader)))
        each = self._reader.nbytes / len(self._reader)
        self.window_graphs = max(int(min(memory / _SHARE, _LARGEST_WINDOW) / each), 1)
        return None

    def _pick(self, indices: Sequence[int] | np.ndarray | None) -> None:
        n = len(self._shards)
        self.indices = np.arange(n) if indices is None else np.asarray(indices, dtype=np.int64).reshape(-1)
        if len(self.indices) and not (self.indices.min() >= 0 and self.indices.max() < n):
            bad = self.indices[(self.indices < 0) | (self.indices >= n)][0]
            raise IndexError(f"index {bad}: the graphset has graphs 0 to {n - 1}")
        self.epoch = 0
        self._by_sample: dict[str, np.ndarray] = {}

    def _selected(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Return a dataset of other rows of the same graphset, which shares the arrays in memory."""
        chosen = copy.copy(self)
        chosen._pick(indices)
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

    def _of_samples(self, name: str) -> np.ndarray:
        if name not in self._by_sample:
            column = self._shards[name]
            self._by_sample[name] = (np.diff(column) if name == "offsets" else column)[self.indices]
        return self._by_sample[name]

    ids = by_sample("ids")
    groups = by_sample("group")
    systems = by_sample("system")
    sources = by_sample("source")
    charges = by_sample("charge")
    n_atoms = by_sample("offsets")
