"""Reads stores: whole ones into memory, large ones column by column and slice by slice."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from psigraph.stores.content import (
    CHECKSUM_ROWS,
    CHECKSUMS,
    TEXT_BYTES,
    Column,
    ContentDigest,
    StoreError,
    checksums_of,
    content_digest,
    digest_of,
    encoded,
    rows_per_checksum,
    size_of_body,
)

_ROOT_KEYS = {
    "format",
    "format_version",
    "psigraph_version",
    "settings",
    "settings_digest",
    "inputs",
    "untracked",
    "digest",
    CHECKSUMS,
}
_STEP = 64  # checksums' blocks that are read at once


@dataclass(frozen=True)
class Store:
    """A verified store in memory."""

    path: Path
    columns: Mapping[str, Column]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    digest: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name].values

    def __contains__(self, name: str) -> bool:
        return name in self.columns


class StoredColumn:
    """One column of an open store; `column[a:b]` reads rows a to b-1 (text as an array of str)."""

    def __init__(self, store: "OpenStore", name: str, dataset: h5py.Dataset, proving: bool) -> None:
        self.name, self.dataset = name, dataset
        self._store = store
        self.shape: tuple[int, ...] = dataset.shape
        self._text = h5py.check_string_dtype(dataset.dtype) is not None
        self.dtype: np.dtype[Any] = np.dtype(object) if self._text else dataset.dtype
        self._rows = rows_per_checksum(self.dtype, self.shape)
        self._checksums: np.ndarray | None = None
        if proving:
            self._checksums, self._rows = dataset.attrs[CHECKSUMS], int(dataset.attrs[CHECKSUM_ROWS])
            self._proved = np.zeros(len(self._checksums), dtype=bool)

    @property
    def unit(self) -> str:
        return str(self.dataset.attrs["units"])

    @property
    def description(self) -> str:
        return str(self.dataset.attrs.get("description", ""))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise ValueError(f"column {self.name}: read whole ranges of rows, not every {step}th")
        with self._store.reading():
            first, last = start // self._rows, -(-max(stop, start) // self._rows)
            if self._checksums is None or self._proved[first:last].all():
                return self._read(start, max(stop, start))
            begin = first * self._rows
            values = self._read(begin, min(last * self._rows, len(self)))
            self._prove(values, first)
            return values[start - begin : stop - begin]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows, some at a time."""
        rows = _STEP * self._rows
        for start in range(0, len(self), rows):
            yield self._read(start, min(start + rows, len(self)))

    def add_to(self, digest: ContentDigest) -> None:
        """Add the whole column to the digest of its store."""
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        if self._text:
            known = self.dataset.attrs.get(TEXT_BYTES)
            size = size_of_body(map(encoded, self.blocks()), self.dtype) if known is None else int(known)
        digest.column(self.name, self.dtype, self.shape, self.unit, size)
        digest.add(map(encoded, self.blocks()), self.dtype)

    def _read(self, start: int, stop: int) -> np.ndarray:
        values = self.dataset.asstr()[start:stop] if self._text else self.dataset[start:stop]
        return np.asarray(values)

    def _prove(self, values: np.ndarray, first: int) -> None:
        """Compare rows that begin with a checksum's block with their checksums."""
        assert self._checksums is not None
        for block, checksum in enumerate(checksums_of(values, self._rows), start=first):
            if checksum != self._checksums[block]:
                raise self._store.altered()
            self._proved[block] = True


class _Columns(Mapping[str, StoredColumn]):
    """The columns of a file, opened when they are asked for."""

    def __init__(self, store: "OpenStore", file: h5py.File, proving: bool) -> None:
        self._store, self._file, self._proving = store, file, proving
        self._names = list(file)
        self._open: dict[str, StoredColumn] = {}

    def __getitem__(self, name: str) -> StoredColumn:
        if name not in self._open:
            if name not in self._names:
                raise KeyError(name)
            with self._store.reading():
                self._open[name] = StoredColumn(self._store, name, self._file[name], self._proving)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


class OpenStore:
    """A store on disk, a context manager; `columns` read what they are asked for. Made by `open_store`."""

    def __init__(
        self, path: Path, *, format: str, version: int, remedy: str, verify: bool | Literal["as read"]
    ) -> None:
        self.path, self.remedy = path, remedy
        if path.suffix in (".pt", ".pth"):
            raise StoreError(
                f"{path}: a torch cache is not read (it can run code on loading); build shards with: {remedy}"
            )
        if not path.is_file():
            raise StoreError(f"{path}: no such file; make it with: {remedy}")
        with self.reading():
            self._file = h5py.File(path, "r")
        try:
            with self.reading():
                self._read_header(format, version)
                proving = verify == "as read" and CHECKSUMS in self._file.attrs
                self.columns: Mapping[str, StoredColumn] = _Columns(self, self._file, proving)
                if verify and not proving:
                    self._verify()
        except BaseException:
            self.close()
            raise

    def _read_header(self, format: str, version: int) -> None:
        attrs = dict(self._file.attrs)
        found = (str(attrs.get("format", "unknown")), int(attrs.get("format_version", -1)))
        if found != (format, version):
            raise StoreError(
                f"{self.path}: holds format {found[0]!r} version {found[1]}, "
                f"expected {format!r} version {version}; rebuild it with: {self.remedy}"
            )
        self.settings: Mapping[str, Any] = json.loads(attrs["settings"])
        self.inputs: Mapping[str, str] = json.loads(attrs["inputs"])
        self.untracked: list[str] = json.loads(attrs["untracked"])
        self.digest = str(attrs["digest"])
        self.attributes = {key: value for key, value in attrs.items() if key not in _ROOT_KEYS}
        if digest_of(self.settings) != attrs["settings_digest"]:
            raise self.altered()

    def _verify(self) -> None:
        """Stream every column through the digest."""
        digest = ContentDigest(self.settings)
        for name in sorted(name for name in self.columns if name not in self.untracked):
            self.columns[name].add_to(digest)
        if digest.hexdigest() != self.digest:
            raise self.altered()

    def altered(self) -> StoreError:
        return StoreError(
            f"{self.path}: its content does not match its digest (the file was altered or damaged); "
            f"delete it and rebuild it with: {self.remedy}"
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what goes wrong with HDF5 into a StoreError that names the file and the remedy."""
        try:
            yield
        except StoreError:
            raise
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"{self.path}: cannot be read as HDF5 ({error}); rebuild it with: {self.remedy}"
            ) from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "OpenStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_store(
    path: str | Path, *, format: str, version: int, remedy: str, verify: bool | Literal["as read"] = True
) -> OpenStore:
    """Open a store for reading in slices; `remedy` is the command that rebuilds it.

    With `verify` the whole file is read once and compared with its digest; "as read" compares what is read with the
    checksums beside it, when it is read (a file without them is verified as a whole). Memory does not grow with the
    file. Raises StoreError where the file is missing, unreadable, of another format or version, or altered.
    """
    return OpenStore(Path(path), format=format, version=version, remedy=remedy, verify=verify)


def read_store(path: str | Path, *, format: str, version: int, remedy: str) -> Store:
    """Read and verify a whole store; `remedy` is the command that rebuilds it. Raises what `open_store` raises."""
    with open_store(path, format=format, version=version, remedy=remedy, verify=False) as store:
        columns = {name: Column(c[:], c.unit, c.description) for name, c in store.columns.items()}
        tracked = {name: column for name, column in columns.items() if name not in store.untracked}
        if content_digest(tracked, store.settings) != store.digest:
            raise store.altered()
        return Store(store.path, columns, store.settings, store.inputs, store.digest, store.attributes)
