"""Graphs as flat arrays in memory, what batches are cut from; and which columns the graphs of a family have.

Legend of shapes: n graphs; Σ rows of all graphs, as one of the family's offsets (n+1,) counts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from psigraph.fields import FIELDS_OF, Field


@dataclass(frozen=True)
class Layout:
    """The columns of a family's shards, and which of them batches need."""

    family: str
    fields: tuple[Field, ...]  # all columns of a shard
    offsets: tuple[str, ...]  # those that say where each graph's rows begin
    batch: Mapping[str, str | None]  # by name: the offsets that count its rows, None for one row per graph

    def counted_by(self, offsets: str | None) -> tuple[str, ...]:
        """Return the columns of a batch whose rows these offsets count; None: with one row per graph."""
        return tuple(name for name, found in self.batch.items() if found == offsets)


@cache
def layout_of(family: str) -> Layout:
    """Return the layout of a family. Raises KeyError for an unknown one."""
    fields = tuple(field for field in FIELDS_OF[family] if field.shard is not None)
    return Layout(
        family,
        fields,
        tuple(field.name for field in fields if field.is_offsets),
        {field.name: field.counted_by for field in fields if field.batch},
    )


def ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return starts[0], starts[0]+1, ... (sizes[0] numbers), starts[1], ... as one array."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - sizes), sizes)


def offsets_of(sizes: np.ndarray) -> np.ndarray:
    """Return where each of n parts of these sizes begins, and the end: (n+1,) int64."""
    out = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=out[1:])
    return out


def take_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return `values[rows]`, (m, ...); a pair (Σ, 2) of numbers of 1 to 4 bytes is moved as one number."""
    if values.dtype.kind == "u" and values.shape[1:] == (2,) and values.itemsize <= 4 and values.flags.c_contiguous:
        whole = values.view(np.dtype(f"u{2 * values.itemsize}"))  # (Σ, 1)
        return whole.take(rows).view(values.dtype).reshape(-1, 2)
    return values.take(rows, axis=0)


@dataclass(frozen=True)
class Columns:
    """The fields of n graphs that a batch needs; floating-point fields have the type the samples come in.

    Atoms and regions in pairs and lists of members count in their own graph.
    """

    offsets: dict[str, np.ndarray]  # by name, (n+1,)
    values: dict[str, np.ndarray]  # by name, (n, ...) or (Σ, ...)

    def __len__(self) -> int:
        return len(next(iter(self.offsets.values()))) - 1

    def taken(self, layout: Layout, where: np.ndarray) -> "Columns":
        """Return graphs `where` (m,) alone; the arrays are new."""
        offsets, values = {}, {name: self.values[name].take(where, axis=0) for name in layout.counted_by(None)}
        for name in layout.offsets:
            starts = self.offsets[name][where]
            sizes = self.offsets[name][where + 1] - starts
            offsets[name] = offsets_of(sizes)
            wanted = ranges(starts, sizes)
            for column in layout.counted_by(name):
                values[column] = take_rows(self.values[column], wanted)
        return Columns(offsets, values)


def empty_columns(
    layout: Layout, sizes: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[Any, tuple[int, ...]]]
) -> Columns:
    """Return columns of graphs to be filled.

    `sizes` has the rows (n,) of each graph by the name of the offsets; `shapes` (dtype, shape of a row) of each column.
    """
    offsets = {name: offsets_of(sizes[name]) for name in layout.offsets}
    n = len(next(iter(sizes.values())))
    rows = {name: n if counted is None else int(offsets[counted][-1]) for name, counted in layout.batch.items()}
    values = {name: np.empty((rows[name], *shapes[name][1]), dtype=shapes[name][0]) for name in layout.batch}
    return Columns(offsets, values)


def taken_as_batch(
    columns: Columns,
    layout: Layout,
    where: np.ndarray,
    numbers: Mapping[str, tuple[str, str]],
    targets: np.ndarray | None = None,
) -> Columns:
    """Return graphs `where` (B,) alone, with pairs of numbers that count in the whole batch; the arrays are new.

    `numbers` has, by the name of a column of pairs, the offsets of what each of the two counts. `targets` picks columns
    of y, all by default.
    """
    taken = columns.taken(layout, where)
    if targets is not None:
        taken.values["y"] = taken.values["y"][:, targets]
    for name, counted in numbers.items():
        rows = np.diff(taken.offsets[str(layout.batch[name])])
        shift = np.stack([taken.offsets[counts][:-1] for counts in counted], axis=1)  # (B, 2)
        taken.values[name] = taken.values[name] + np.repeat(shift, rows, axis=0)
    return taken
