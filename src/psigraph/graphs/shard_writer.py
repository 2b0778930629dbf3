"""Writes graph shards and the list of what was left out; `shards.py` reads them."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.fields import SHARD_FIELDS, Field
from psigraph.graphs.blocks import Block
from psigraph.graphs.graph import Graph, Skipped
from psigraph.graphs.settings import GraphSettings
from psigraph.graphs.shards import FORMAT, SKIPPED_COLUMNS, VERSION
from psigraph.quantum.table import FEATURES
from psigraph.stores import ColumnSpec, StoreWriter

_OFFSETS = ("offsets", "pair_offsets")


class ShardWriter:
    """Writes one shard block by block, a context manager; nothing is left behind without `finish`.

    `most_atoms` is the number of atoms of the largest structure that may come: it decides the type of the pairs.
    """

    def __init__(
        self,
        path: str | Path,
        settings: GraphSettings,
        *,
        most_atoms: int,
        name: str = "",
        shard: int = 0,
        shards: int = 1,
        inputs: Mapping[str, str] | None = None,
    ) -> None:
        self.n, self._ends = 0, np.zeros(2, dtype=np.int64)  # graphs; atoms and pairs
        self._writer = StoreWriter(
            path,
            format=FORMAT,
            version=VERSION,
            columns={f.name: _spec(f, settings, most_atoms) for f in SHARD_FIELDS},
            settings={**settings.identity(), "shard": shard, "shards": shards},
            inputs=inputs,
            attributes={
                "cutoff": float(settings.cutoff),
                "length_scale": float(settings.length_scale),
                "unit": settings.unit,
                "family": settings.family,
                "graphset": name,
                "level_name": settings.level_name,
                "atom_features": _describe(settings),
            },
        )
        for offsets in _OFFSETS:
            self._writer.append(offsets, np.zeros(1, dtype=np.int64))

    def append(self, block: Block) -> None:
        """Add the graphs of a block."""
        for place, (offsets, counts) in enumerate(zip(_OFFSETS, (block.n_atoms, block.n_pairs), strict=True)):
            ends = self._ends[place] + np.cumsum(counts)
            self._writer.append(offsets, ends)
            self._ends[place] = ends[-1] if len(ends) else self._ends[place]
        for field in SHARD_FIELDS:
            if field.name not in _OFFSETS:
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
    settings: GraphSettings,
    *,
    name: str = "",
    shard: int = 0,
    shards: int = 1,
    inputs: Mapping[str, str] | None = None,
) -> str:
    """Write graphs in memory to one HDF5 file and return its content digest."""
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


def _spec(field: Field, settings: GraphSettings, most_atoms: int) -> ColumnSpec:
    """Return type and shape of a column; those of `psigraph.fields`, with K and the type of the pairs filled in."""
    assert field.shard is not None
    shape, dtype = field.shard
    row = tuple(settings.atom_width if part == "K" else int(part) for part in re.findall(r"(?<=,)(\d+|K)", shape))
    if " or " in dtype:
        small, large = dtype.split(" or ")
        dtype = small if most_atoms <= np.iinfo(small).max + 1 else large
    return ColumnSpec(dtype, row, field.unit_of(settings.unit), field.description)


def _describe(settings: GraphSettings) -> str:
    """Return what the columns of `atomic_node_attr` are, for readers without this project."""
    names = (FEATURES[name] for name in settings.atom_features)
    return "; ".join(f"{f.name} {tuple(f.shape)} [{f.unit}]: {f.definition}" for f in names)


def _block(graphs: Sequence[Graph]) -> Block:
    """Return graphs as one block."""
    columns: dict[str, Any] = {}
    for field in SHARD_FIELDS:
        if field.name not in _OFFSETS:
            assert field.shard is not None
            shape, dtype = field.shard
            values = [getattr(graph, "id" if field.name == "ids" else field.name) for graph in graphs]
            join = np.concatenate if shape.startswith("(Σ") else np.array
            columns[field.name] = join(values).astype(object) if dtype == "text" else join(values)
    n_atoms = np.array([len(graph.z_atoms) for graph in graphs])
    return Block(columns, n_atoms, np.array([len(graph.pairs) for graph in graphs]), [])
