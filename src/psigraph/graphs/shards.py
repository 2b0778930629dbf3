"""Graph shards: HDF5 files of a graphset, written by the graphs stage, read by training and evaluation."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.fields import SHARD_FIELDS
from psigraph.graphs.graph import Graph, Skipped
from psigraph.graphs.settings import GraphSettings
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.table import FEATURES
from psigraph.stores import Column, Store, StoreError, digest_of, read_store, write_store

FORMAT = "psigraph-graphs"
VERSION = 2
REMEDY = "snakemake --cores 1 graphs"

SKIPPED_COLUMNS = ("id", "source", "reason")
_FLAT = {"z_atoms": "offsets", "pos_atoms": "offsets", "fragment": "offsets", "atomic_node_attr": "offsets"}
_FLAT["pairs"] = "pair_offsets"
_OFFSETS = ("offsets", "pair_offsets")


@dataclass(frozen=True)
class ShardSet:
    """All shards of a graphset, concatenated in shard order; arrays by the names of `psigraph.fields`."""

    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, Any]  # GraphSettings.identity()
    level_name: str
    digest: str  # of all shards
    digests: Mapping[str, str]  # file name: digest
    inputs: Mapping[str, str]  # digests of structure and quantum files

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __len__(self) -> int:
        return len(self.arrays["ids"])


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
    """Write graphs to one HDF5 file and return its content digest; an empty shard is legal."""
    arrays = _flatten(graphs, settings.atom_width)
    columns = {
        field.name: Column(arrays[field.name], field.unit_of(settings.unit), field.description)
        for field in SHARD_FIELDS
    }
    attributes = {
        "cutoff": float(settings.cutoff),
        "length_scale": float(settings.length_scale),
        "unit": settings.unit,
        "family": settings.family,
        "graphset": name,
        "level_name": settings.level_name,
        "atom_features": _describe(settings),
    }
    return write_store(
        path,
        format=FORMAT,
        version=VERSION,
        columns=columns,
        settings={**settings.identity(), "shard": shard, "shards": shards},
        inputs=inputs,
        attributes=attributes,
    )


def write_skipped(path: str | Path, skipped: Sequence[Skipped]) -> None:
    """Write the structures that became no graph as CSV (id, source, reason); the header alone where there are none."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SKIPPED_COLUMNS)
        writer.writerows((item.id, item.source, item.reason) for item in skipped)


def read_shard(path: str | Path) -> Store:
    """Read and verify one shard. Raises StoreError naming the file, what is wrong and the command that rebuilds it."""
    path = Path(path)
    store = read_store(path, format=FORMAT, version=VERSION, remedy=REMEDY)
    unit = store.settings.get("unit")
    for field in SHARD_FIELDS:
        if field.name not in store:
            raise StoreError(f"{path}: lacks the field {field.name}; rebuild it with: {REMEDY}")
        found, expected = store.columns[field.name].unit, field.unit_of(str(unit))
        if found != expected:
            raise StoreError(
                f"{path}: field {field.name} is in {found!r}, expected {expected!r}; rebuild it with: {REMEDY}"
            )
    return store


def check_shards(paths: Sequence[str | Path], expected: Mapping[str, Any] | None = None) -> None:
    """Raise StoreError unless the files are all shards of one graphset, built with the `expected` settings.

    `expected` holds any of the keys of `GraphSettings.identity()`. The message names the file, both values and the
    command that rebuilds the shards.
    """
    _check([read_shard(path) for path in paths], expected)


def read_shards(paths: Sequence[str | Path], expected: Mapping[str, Any] | None = None) -> ShardSet:
    """Read all shards of a graphset, in any order. Raises StoreError as `check_shards` does."""
    stores = _check([read_shard(path) for path in paths], expected)
    arrays: dict[str, np.ndarray] = {}
    for field in SHARD_FIELDS:
        parts = [store[field.name] for store in stores]
        arrays[field.name] = _join_offsets(parts) if field.name in _OFFSETS else np.concatenate(parts)
    ids, counts = np.unique(arrays["ids"].astype(str), return_counts=True)
    if len(ids) < len(arrays["ids"]):
        raise StoreError(
            f"{stores[0].path}: the id {ids[counts > 1][0]!r} occurs more than once in its graphset; "
            f"rebuild the shards with: {REMEDY}"
        )
    return ShardSet(
        arrays=arrays,
        settings={key: value for key, value in stores[0].settings.items() if key not in ("shard", "shards")},
        level_name=str(stores[0].attributes.get("level_name", "")),
        digest=digest_of([store.digest for store in stores]),
        digests={store.path.name: store.digest for store in stores},
        inputs={key: value for store in stores for key, value in store.inputs.items()},
    )


def _check(stores: Sequence[Store], expected: Mapping[str, Any] | None) -> list[Store]:
    """Return the stores in shard order, or raise StoreError."""
    expected = dict(expected or {})
    if isinstance(expected.get("level"), Mapping):
        expected["level"] = normalise_level(expected["level"])
    if not stores:
        raise StoreError(f"no shards were given; build them with: {REMEDY}")
    for store in stores:
        _compare(store, expected, "this run asks for")
        reference = {key: value for key, value in stores[0].settings.items() if key != "shard"}
        _compare(store, reference, f"{stores[0].path} has")
        for key, digest in store.inputs.items():
            if stores[0].inputs.get(key, digest) != digest:
                raise StoreError(
                    f"{store.path}: was built from another version of {key} than {stores[0].path}; "
                    f"rebuild the shards with: {REMEDY}"
                )
    count = int(stores[0].settings["shards"])
    numbers = sorted(int(store.settings["shard"]) for store in stores)
    if numbers != list(range(count)):
        raise StoreError(
            f"{stores[0].path}: its graphset has shards 0 to {count - 1}, but shards {numbers} were given; "
            f"name each of them once, or rebuild them with: {REMEDY}"
        )
    return sorted(stores, key=lambda store: int(store.settings["shard"]))


def _compare(store: Store, expected: Mapping[str, Any], who: str) -> None:
    """Raise StoreError at the first setting of a shard that differs from `expected`."""
    for key, value in expected.items():
        found = store.settings.get(key)
        if found != value:
            unit = " Å" if key == "cutoff" else ""
            raise StoreError(
                f"{store.path}: was built with {key} {_text(found)}{unit}, but {who} {_text(value)}{unit}; "
                f"rebuild the shards with: {REMEDY}"
            )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(str(name) for name, *_ in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {value[key]}" for key in sorted(value)) + "}"
    return "none" if value is None else str(value)


def _describe(settings: GraphSettings) -> str:
    """Return what the columns of `atomic_node_attr` are, for readers without this project."""
    names = (FEATURES[name] for name in settings.atom_features)
    return "; ".join(f"{f.name} {tuple(f.shape)} [{f.unit}]: {f.definition}" for f in names)


def _flatten(graphs: Sequence[Graph], atom_width: int) -> dict[str, np.ndarray]:
    """Return the columns, flat with offsets, in the shapes (K: `atom_width`) and types of `psigraph.fields`."""
    arrays: dict[str, np.ndarray] = {
        "ids": np.array([graph.id for graph in graphs], dtype=object),
        "offsets": np.cumsum([0, *(len(graph.z_atoms) for graph in graphs)]),
        "pair_offsets": np.cumsum([0, *(len(graph.pairs) for graph in graphs)]),
    }
    for field in SHARD_FIELDS:
        assert field.shard is not None
        shape, dtype = field.shard
        if field.name not in arrays:
            values = [getattr(graph, field.name) for graph in graphs]
            width = [atom_width if part == "K" else int(part) for part in re.findall(r"(?<=,)(\d+|K)", shape)]
            if field.name in _FLAT:
                arrays[field.name] = np.concatenate([np.zeros((0, *width)), *values])
            else:
                joined = np.array(values, dtype=object if dtype == "text" else None)
                arrays[field.name] = joined.reshape(-1, *width) if width else joined
        arrays[field.name] = arrays[field.name].astype(object if dtype == "text" else dtype)
    return arrays


def _join_offsets(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the offsets of concatenated arrays from the offsets of each."""
    return np.cumsum(np.concatenate([[0], *(np.diff(part) for part in parts)])).astype(np.int64)
