"""Rows of graph shards from disk into memory: sorted, in bulk, and never more of the files than a chunk at a time.

Columns that stand in one piece are mapped, so only the pages that hold the asked rows are read; pages are given back
after every chunk, so that neither the size nor the number of the shards shows in the memory of the process.
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from psigraph.graphs.columns import Columns, Layout, empty_columns, ranges
from psigraph.graphs.shards import Place, Shard, ShardSet

#: Bytes of a shard's columns that a chunk spans.
CHUNK = 32 * 2**20

Part = Callable[[str, int, int], np.ndarray]  # name of a column, first row, last row + 1


class ShardReader:
    """Reads what batches need of chosen graphs; floating-point columns come in the type `kind`."""

    def __init__(self, shards: ShardSet, kind: Any) -> None:
        self.shards, self.layout = shards, shards.layout
        places = [shard.places for shard in shards.shards]
        self._shapes: dict[str, tuple[Any, tuple[int, ...]]] = {}
        for name in self.layout.batch:
            found = np.result_type(*(place[name].dtype for place in places))
            self._shapes[name] = (np.dtype(kind) if found.kind == "f" else found, places[0][name].shape[1:])

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def nbytes(self) -> int:
        """The size in memory of all graphs."""
        total = 8 * len(self.layout.offsets) * (len(self) + 1)
        for name, (dtype, row) in self._shapes.items():
            rows = sum(shard.places[name].shape[0] for shard in self.shards.shards)
            total += rows * int(np.prod(row, dtype=np.int64)) * np.dtype(dtype).itemsize
        return total

    def read(self, rows: np.ndarray) -> Columns:
        """Return the graphs `rows` (m,), which must rise. Raises StoreError where a file has changed."""
        sizes = {name: np.empty(len(rows), dtype=np.int64) for name in self.layout.offsets}
        for part, here, local in self._chunks(rows):
            for name, out in sizes.items():
                first, last = _extents(part, name, local)
                out[here] = last - first
        columns = empty_columns(self.layout, sizes, self._shapes)
        for part, here, local in self._chunks(rows):
            self._fill(columns, part, here, local)
        return columns

    def _fill(self, columns: Columns, part: Part, here: slice, local: np.ndarray) -> None:
        """Copy the graphs `local` of one shard to the graphs `here` of `columns`."""
        for name in self.layout.counted_by(None):
            columns.values[name][here] = part(name, local[0], local[-1] + 1)[local - local[0]]
        for offsets_name, offsets in columns.offsets.items():
            first, last = _extents(part, offsets_name, local)
            wanted = ranges(first - first[0], last - first)
            for name in self.layout.counted_by(offsets_name):
                columns.values[name][offsets[here.start] : offsets[here.stop]] = part(name, first[0], last[-1])[wanted]

    def _chunks(self, rows: np.ndarray) -> Iterator[tuple[Part, slice, np.ndarray]]:
        """Go through sorted rows: a way to read the shard, which of the rows these are, their numbers in the shard."""
        bounds = np.searchsorted(rows, self.shards.starts)
        for shard, start, first, last in zip(
            self.shards.shards, self.shards.starts, bounds[:-1], bounds[1:], strict=False
        ):
            if first == last:
                continue
            local = rows[first:last] - start
            step = max(CHUNK * len(shard) // max(_nbytes(shard, self.layout), 1), 1)
            cuts = np.unique(np.searchsorted(local, np.arange(0, len(shard) + step, step)))
            with _opened(shard) as (part, release):
                for a, b in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
                    yield part, slice(int(first) + a, int(first) + b), local[a:b]
                    release()


def _nbytes(shard: Shard, layout: Layout) -> int:
    names = (*layout.batch, *layout.offsets)
    return sum(int(np.prod(shard.places[n].shape, dtype=np.int64)) * shard.places[n].dtype.itemsize for n in names)


def _extents(part: Part, name: str, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first row and last row + 1 of each of the graphs `local` (m,) in the columns that `name` counts."""
    offsets = part(name, local[0], local[-1] + 2)
    return offsets[local - local[0]], offsets[local - local[0] + 1]


@contextmanager
def _opened(shard: Shard) -> Iterator[tuple[Part, Callable[[], None]]]:
    """Yield a function that returns rows of a column, mapped where possible, and one that gives pages back."""
    shard.check_unchanged()
    with ExitStack() as stack:
        file = stack.enter_context(open(shard.path, "rb"))
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        store: list[Any] = []

        def part(name: str, first: int, last: int) -> np.ndarray:
            place = shard.places[name]
            if 0 in place.shape:  # HDF5 gives it no place
                return np.empty((int(last) - int(first), *place.shape[1:]), dtype=place.dtype)
            if place.start is not None:
                return _view(mapped, place, int(first), int(last))
            if not store:
                store.append(stack.enter_context(shard.open()))
            return np.asarray(store[0].columns[name][int(first) : int(last)])

        yield part, lambda: mapped.madvise(mmap.MADV_DONTNEED)


def _view(mapped: mmap.mmap, place: Place, first: int, last: int) -> np.ndarray:
    """Return rows first..last-1 of a mapped column, without a copy."""
    row = int(np.prod(place.shape[1:], dtype=np.int64))
    assert place.start is not None
    values = np.frombuffer(
        mapped, dtype=place.dtype, count=(last - first) * row, offset=place.start + first * row * place.dtype.itemsize
    )
    return values.reshape(last - first, *place.shape[1:])
