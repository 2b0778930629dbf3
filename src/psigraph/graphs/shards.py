"""Graph shards: HDF5 files of a graphset, read by training and evaluation; `shard_writer` writes them.

Opening a graphset verifies its files and reads nothing into memory; columns are read when they are asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.fields import FIELDS_OF
from psigraph.graphs.columns import Layout, layout_of, offsets_of
from psigraph.quantum.levels import normalise_level
from psigraph.stores import OpenStore, Store, StoreError, digest_of, open_store, read_store

FORMAT = "psigraph-graphs"
VERSION = 3
REMEDY = "snakemake --cores 1 graphs"

SKIPPED_COLUMNS = ("id", "source", "reason")
_TEXT_BLOCK = 1 << 16  # rows of a column of text in memory at a time


@dataclass(frozen=True)
class Place:
    """Where a column stands in a shard's file: from byte `start` on where it is stored in one piece, else None."""

    start: int | None
    dtype: np.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Shard:
    """One verified shard: what it says of itself and where its columns stand. The file is closed."""

    path: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    attributes: Mapping[str, Any]
    digest: str
    places: Mapping[str, Place]
    stamp: tuple[int, int, int]  # inode, size, time of change [ns]

    def __len__(self) -> int:
        return self.places["y"].shape[0]

    def open(self) -> OpenStore:
        """Open the file again. Raises StoreError where it is not the file that was verified."""
        self.check_unchanged()
        return open_store(self.path, format=FORMAT, version=VERSION, remedy=REMEDY, verify=False)

    def check_unchanged(self) -> None:
        """Raise StoreError where the file is gone or was written again since it was verified."""
        if _stamp(self.path) != self.stamp:
            raise StoreError(f"{self.path}: was written again while it was in use; start this run again")


@dataclass(frozen=True)
class ShardSet:
    """All shards of a graphset in shard order; `shards[name]` reads a whole column by its name in `psigraph.fields`."""

    shards: tuple[Shard, ...]
    settings: Mapping[str, Any]  # of the graphset (`identity()`)
    level_name: str
    digest: str  # of all shards
    digests: Mapping[str, str]  # file name: digest
    inputs: Mapping[str, str]  # digests of structure and quantum files
    starts: np.ndarray  # (shards+1,) the first row of each shard, and the number of graphs

    @property
    def layout(self) -> Layout:
        """Which columns the shards have."""
        return layout_of(self.settings["family"])

    def __getitem__(self, name: str) -> np.ndarray:
        parts = []
        for shard in self.shards:
            with shard.open() as store:
                parts.append(np.asarray(store.columns[name][:]))
        return _join_offsets(parts) if name in self.layout.offsets else np.concatenate(parts)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def ids_of(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Return the ids of a few graphs."""
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        found: dict[int, str] = {}
        for owner in np.unique(owners):
            with self.shards[owner].open() as store:
                for row in np.asarray(rows)[owners == owner].tolist():
                    local = row - int(self.starts[owner])
                    found[row] = str(store.columns["ids"][local : local + 1][0])
        return [found[int(row)] for row in rows]


def read_shard(path: str | Path) -> Store:
    """Read and verify one shard, whole. Raises StoreError as `open_shard` does."""
    open_shard(path, verify=False)
    return read_store(path, format=FORMAT, version=VERSION, remedy=REMEDY)


def open_shard(path: str | Path, *, verify: bool = True) -> Shard:
    """Check one shard and return what it is; with `verify`, its whole content is compared with its digest.

    Raises StoreError naming the file, what is wrong and the command that rebuilds it.
    """
    path = Path(path)
    with open_store(path, format=FORMAT, version=VERSION, remedy=REMEDY, verify=verify) as store:
        unit = str(store.settings.get("unit"))
        for field in _layout(path, store.settings).fields:
            if field.name not in store.columns:
                raise StoreError(f"{path}: lacks the field {field.name}; rebuild it with: {REMEDY}")
            found, expected = store.columns[field.name].unit, field.unit_of(unit)
            if found != expected:
                raise StoreError(
                    f"{path}: field {field.name} is in {found!r}, expected {expected!r}; rebuild it with: {REMEDY}"
                )
        return Shard(
            path=path,
            settings=store.settings,
            inputs=store.inputs,
            attributes=store.attributes,
            digest=store.digest,
            places={name: _place(column) for name, column in store.columns.items()},
            stamp=_stamp(path),
        )


def check_shards(paths: Sequence[str | Path], expected: Mapping[str, Any] | None = None) -> None:
    """Raise StoreError unless the files are all shards of one graphset, built with the `expected` settings.

    `expected` holds any of the keys of `GraphSettings.identity()`. The message names the file, both values and the
    command that rebuilds the shards.
    """
    _check([open_shard(path) for path in paths], expected)


def read_shards(
    paths: Sequence[str | Path], expected: Mapping[str, Any] | None = None, *, verify: bool = True
) -> ShardSet:
    """Open all shards of a graphset, in any order; with `verify`, compare digests and look for equal ids.

    Raises StoreError as `check_shards` does.
    """
    shards = _check([open_shard(path, verify=verify) for path in paths], expected)
    if verify:
        _check_ids(shards)
    return ShardSet(
        shards=tuple(shards),
        settings={key: value for key, value in shards[0].settings.items() if key not in ("shard", "shards")},
        level_name=str(shards[0].attributes.get("level_name", "")),
        digest=digest_of([shard.digest for shard in shards]),
        digests={shard.path.name: shard.digest for shard in shards},
        inputs={key: value for shard in shards for key, value in shard.inputs.items()},
        starts=offsets_of(np.array([len(shard) for shard in shards])),
    )


def _layout(path: Path, settings: Mapping[str, Any]) -> Layout:
    family = settings.get("family")
    if family not in FIELDS_OF:
        raise StoreError(
            f"{path}: holds graphs of family {family!r}, known are {', '.join(FIELDS_OF)}; rebuild it with: {REMEDY}"
        )
    return layout_of(family)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _place(column: Any) -> Place:
    """Return where a column stands; only plain little-endian numbers in one piece are read without HDF5."""
    dtype, dataset = np.dtype(column.dtype), column.dataset
    plain = dtype.kind in "biuf" and dtype.newbyteorder("<") == dtype
    return Place(dataset.id.get_offset() if plain and dataset.chunks is None else None, dtype, tuple(column.shape))


def _check(shards: Sequence[Shard], expected: Mapping[str, Any] | None) -> list[Shard]:
    """Return the shards in their order, or raise StoreError."""
    expected = dict(expected or {})
    if isinstance(expected.get("level"), Mapping):
        expected["level"] = normalise_level(expected["level"])
    if not shards:
        raise StoreError(f"no shards were given; build them with: {REMEDY}")
    for shard in shards:
        _compare(shard, expected, "this run asks for")
        reference = {key: value for key, value in shards[0].settings.items() if key != "shard"}
        _compare(shard, reference, f"{shards[0].path} has")
        for key, digest in shard.inputs.items():
            if shards[0].inputs.get(key, digest) != digest:
                raise StoreError(
                    f"{shard.path}: was built from another version of {key} than {shards[0].path}; "
                    f"rebuild the shards with: {REMEDY}"
                )
    count = int(shards[0].settings["shards"])
    numbers = sorted(int(shard.settings["shard"]) for shard in shards)
    if numbers != list(range(count)):
        raise StoreError(
            f"{shards[0].path}: its graphset has shards 0 to {count - 1}, but shards {numbers} were given; "
            f"name each of them once, or rebuild them with: {REMEDY}"
        )
    return sorted(shards, key=lambda shard: int(shard.settings["shard"]))


def _compare(shard: Shard, expected: Mapping[str, Any], who: str) -> None:
    """Raise StoreError at the first setting of a shard that differs from `expected`."""
    for key, value in expected.items():
        found = shard.settings.get(key)
        if found != value:
            unit = " Å" if key.endswith(("cutoff", "radius")) else ""
            raise StoreError(
                f"{shard.path}: was built with {key} {_text(found)}{unit}, but {who} {_text(value)}{unit}; "
                f"rebuild the shards with: {REMEDY}"
            )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(str(name) for name, *_ in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {value[key]}" for key in sorted(value)) + "}"
    return "none" if value is None else str(value)


def _check_ids(shards: Sequence[Shard]) -> None:
    """Raise StoreError where an id occurs more than once; 8 bytes a graph in memory, not the ids."""
    hashes = np.fromiter((hash(id) for id in _ids(shards)), dtype=np.int64, count=sum(map(len, shards)))
    values, counts = np.unique(hashes, return_counts=True)
    suspects = set(values[counts > 1].tolist())
    if not suspects:
        return
    seen: set[str] = set()
    for id in (id for id in _ids(shards) if hash(id) in suspects):
        if id in seen:
            raise StoreError(
                f"{shards[0].path}: the id {id!r} occurs more than once in its graphset; "
                f"rebuild the shards with: {REMEDY}"
            )
        seen.add(id)


def _ids(shards: Sequence[Shard]) -> Iterator[str]:
    for shard in shards:
        with shard.open() as store:
            for first in range(0, len(shard), _TEXT_BLOCK):
                yield from store.columns["ids"][first : first + _TEXT_BLOCK]


def _join_offsets(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the offsets of concatenated arrays from the offsets of each."""
    return offsets_of(np.concatenate([np.diff(part) for part in parts]))
