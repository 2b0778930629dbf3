"""Writes graph shards and the list of what was left out; `shards.py` reads them."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.fields import Field
from psigraph.graphs.blocks import Block
from psigraph.graphs.columns import layout_of
from psigraph.graphs.graph import Graph, Skipped
from psigraph.graphs.settings import ShardSettings
from psigraph.graphs.shards import FORMAT, SKIPPED_COLUMNS, VERSION
from psigraph.stores import ColumnSpec, StoreWriter
from psigraph.structures.model import Label


class ShardWriter:
    """Writes one shard block by block, a context manager; nothing is left behind without `finish`.

    `most_atoms` is the number of atoms of the largest structure that may come: it decides the type of the pairs.
    `labels` are the columns of `y` in a family that has several.
    """

    def __init__(
        self,
        path: str | Path,
        settings: ShardSettings,
        *,
        most_atoms: int,
        name: str = "",
        shard: int = 0,
        shards: int = 1,
        inputs: Mapping[str, str] | None = None,
        labels: Sequence[Label] | None = None,
    ) -> None:
        self._layout, self.n = layout_of(settings.family), 0
        self._ends = dict.fromkeys(self._layout.offsets, 0)
        widths = {**settings.widths(), "T": len(labels or ())}
        own = {} if labels is None else {"labels": [list(astuple(label)) for label in labels]}
        self._writer = StoreWriter(
            path,
            format=FORMAT,
            version=VERSION,
            columns={f.name: _spec(f, widths, settings.unit, most_atoms) for f in self._layout.fields},
            settings={**settings.identity(), **own, "shard": shard, "shards": shards},
            inputs=inputs,
            attributes={
                **settings.attributes(),
                "family": settings.family,
                "graphset": name,
                "level_name": settings.level_name,
            },
        )
        for offsets in self._layout.offsets:
            self._writer.append(offsets, np.zeros(1, dtype=np.int64))

    def append(self, block: Block) -> None:
        """Add the graphs of a block."""
        for offsets, counts in block.counts.items():
            ends = self._ends[offsets] + np.cumsum(counts)
            self._writer.append(offsets, ends)
            self._ends[offsets] = int(ends[-1]) if len(ends) else self._ends[offsets]
        for field in self._layout.fields:
            if not field.is_offsets:
                self._writer.append(field.name, block.columns[field.name])
        self.n += len(block)

    def finish(self) -> str:
        """Write the file and return its content digest; a shard without graphs is legal."""
        return self._writer.finish()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()


def write_shard(
    path: str | Path,
    graphs: Sequence[Graph],
    settings: ShardSettings,
    *,
    name: str = "",
    shard: int = 0,
    shards: int = 1,
    inputs: Mapping[str, str] | None = None,
) -> str:
    """Write graphs of dimers in memory to one HDF5 file and return its content digest."""
    most = max((len(graph.z_atoms) for graph in graphs), default=0)
    with ShardWriter(path, settings, most_atoms=most, name=name, shard=shard, shards=shards, inputs=inputs) as writer:
        if graphs:
            writer.append(_block(graphs))
        return writer.finish()


def write_skipped(path: str | Path, skipped: Iterable[Skipped]) -> int:
    """Write the structures that became no graph as CSV (id, source, reason) below a header; return their number."""
    count = 0
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SKIPPED_COLUMNS)
        for count, item in enumerate(skipped, start=1):  # noqa: B007
            writer.writerow((item.id, item.source, item.reason))
    return count


def _spec(field: Field, widths: Mapping[str, int], label_unit: str, most_atoms: int) -> ColumnSpec:
    """Return type and shape of a column; those of `psigraph.fields`, with widths and the type of pairs filled in."""
    assert field.shard is not None
    shape, dtype = field.shard
    row = tuple(int(part) if part.isdigit() else widths[part] for part in re.findall(r"(?<=,)\w+", shape))
    if " or " in dtype:
        small, large = dtype.split(" or ")
        dtype = small if most_atoms <= np.iinfo(small).max + 1 else large
    return ColumnSpec(dtype, row, field.unit_of(label_unit), field.description)


def _block(graphs: Sequence[Graph]) -> Block:
    """Return graphs of dimers as one block."""
    columns: dict[str, Any] = {}
    for field in layout_of("delta").fields:
        if not field.is_offsets:
            assert field.shard is not None
            values = [getattr(graph, "id" if field.name == "ids" else field.name) for graph in graphs]
            joined = np.array(values) if field.counted_by is None else np.concatenate(values)
            columns[field.name] = joined.astype(object) if field.shard[1] == "text" else joined
    counts = {
        "offsets": np.array([len(graph.z_atoms) for graph in graphs]),
        "pair_offsets": np.array([len(graph.pairs) for graph in graphs]),
    }
    return Block(columns, counts, [])
