"""Writes stores: whole ones from memory, large ones block by block."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import h5py
import numpy as np

from psigraph import __version__
from psigraph.stores.content import (
    CHECKSUM_ROWS,
    CHECKSUMS,
    CHECKSUMS_ARE,
    TEXT_BYTES,
    Column,
    ContentDigest,
    canonical_json,
    checksums_of,
    digest_of,
    encoded,
    is_text,
    rows_per_checksum,
    size_of_body,
)

_STEP = 64  # checksums' blocks that are handled at once
_TEXT = np.dtype(object)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on an exception it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _Source(Protocol):
    """Where the rows of a column come from; they are read more than once."""

    unit: str
    description: str

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def size(self) -> int: ...

    def blocks(self, rows: int) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class _Header:
    """What a file says about itself beside its columns."""

    format: str
    version: int
    settings: Mapping[str, Any]
    inputs: Mapping[str, str] | None = None
    attributes: Mapping[str, Any] | None = None
    untracked: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnSpec:
    """A column to be written: NumPy type or "text", shape of one row, unit ("" for text) and what it is."""

    dtype: str
    row: tuple[int, ...] = ()
    unit: str = "1"
    description: str = ""


def write_store(
    path: str | Path,
    *,
    format: str,
    version: int,
    columns: Mapping[str, Column],
    settings: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    attributes: Mapping[str, Any] | None = None,
    untracked: tuple[str, ...] = (),
) -> str:
    """Write a store atomically and return its content digest.

    `settings` is what identifies the content (level of theory, cutoff); `attributes` are plain root attributes for
    readers without this project; `inputs` maps input names to their digests. Columns named in `untracked` (wall times)
    stay out of the digest.
    """
    header = _Header(format, version, settings, inputs, attributes, untracked)
    sources = {name: _InMemory(np.asarray(c.values), c.unit, c.description) for name, c in columns.items()}
    return _write(path, header, sources)


class StoreWriter:
    """Writes a store whose columns come block by block, each at its own pace; memory does not grow with the file.

    Rows wait in unnamed temporary files in the folder of `path`, which vanish with the process. `finish` writes the
    file, atomically: numbers contiguous, so that readers may map them, and the same bytes whatever the blocks were. A
    context manager: leaving it without `finish` leaves nothing behind.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str,
        version: int,
        settings: Mapping[str, Any],
        columns: Mapping[str, ColumnSpec],
        inputs: Mapping[str, str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self._header = _Header(format, version, settings, inputs, attributes)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._files = ExitStack()
        self._columns: dict[str, _Spooled] = {}
        for name, spec in columns.items():
            spool = self._files.enter_context(tempfile.TemporaryFile(dir=self.path.parent))  # noqa: SIM115
            self._columns[name] = _Spooled(spool, spec)

    def append(self, name: str, values: np.ndarray) -> None:
        """Add rows (m, *row) to a column. Raises ValueError where they have another shape."""
        self._columns[name].append(name, np.asarray(values))

    def finish(self) -> str:
        """Write the file and return its content digest."""
        with self:
            return _write(self.path, self._header, self._columns)

    def close(self) -> None:
        """Give the temporary files back."""
        self._files.close()

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _write(path: str | Path, header: _Header, sources: Mapping[str, _Source]) -> str:
    digest = ContentDigest(header.settings)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = header.format
        file.attrs["format_version"] = header.version
        file.attrs["psigraph_version"] = __version__
        file.attrs["settings"] = canonical_json(header.settings)
        file.attrs["settings_digest"] = digest_of(header.settings)
        file.attrs["inputs"] = canonical_json(dict(header.inputs or {}))
        file.attrs["untracked"] = canonical_json(list(header.untracked))
        file.attrs[CHECKSUMS] = CHECKSUMS_ARE
        for key, value in (header.attributes or {}).items():
            file.attrs[key] = value
        for name in sorted(sources):
            tracked = digest if name not in header.untracked else ContentDigest({})
            _write_column(file, name, sources[name], tracked)
        file.attrs["digest"] = digest.hexdigest()
    return digest.hexdigest()


def _write_column(file: h5py.File, name: str, source: _Source, digest: ContentDigest) -> None:
    """Write one column with its checksums and add it to the digest."""
    text = is_text(source.dtype)
    dataset = file.create_dataset(name, shape=source.shape, dtype=h5py.string_dtype() if text else source.dtype)
    dataset.attrs["units"] = source.unit
    if source.description:
        dataset.attrs["description"] = source.description
    size = source.size()
    if text:
        dataset.attrs[TEXT_BYTES] = size
    rows = rows_per_checksum(source.dtype, source.shape)
    checksums: list[int] = []

    def written() -> Iterator[Any]:
        start = 0
        for values in source.blocks(_STEP * rows):
            if len(values):
                dataset[start : start + len(values)] = values
            start += len(values)
            checksums.extend(checksums_of(values, rows))
            yield encoded(values)

    digest.column(name, source.dtype, source.shape, source.unit, size)
    digest.add(written(), source.dtype)
    dataset.attrs[CHECKSUMS] = np.array(checksums, dtype=np.uint32)
    dataset.attrs[CHECKSUM_ROWS] = rows


@dataclass
class _InMemory:
    """A column in memory."""

    values: np.ndarray
    unit: str
    description: str

    def __post_init__(self) -> None:
        if is_text(self.values.dtype):
            self.values = self.values.astype(object)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def size(self) -> int:
        if is_text(self.dtype):
            return size_of_body((encoded(part) for part in self.blocks(2**16)), self.dtype)
        return self.values.nbytes

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        return (self.values[start : start + rows] for start in range(0, len(self.values), rows))


@dataclass
class _Spooled:
    """A column in a temporary file: numbers as bytes, text as lines of JSON."""

    handle: IO[bytes]
    spec: ColumnSpec
    unit: str = field(init=False)
    description: str = field(init=False)
    rows: int = 0
    _text_bytes: int = 0
    _lines: int = 0

    def __post_init__(self) -> None:
        self.unit, self.description = self.spec.unit, self.spec.description

    @property
    def dtype(self) -> np.dtype[Any]:
        return _TEXT if self.spec.dtype == "text" else np.dtype(self.spec.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, *self.spec.row)

    def append(self, name: str, values: np.ndarray) -> None:
        if values.shape[1:] != self.spec.row or values.ndim != 1 + len(self.spec.row):
            raise ValueError(f"column {name}: rows of shape {values.shape[1:]}, expected {self.spec.row}")
        self.rows += len(values)
        if not len(values):
            return
        if not is_text(self.dtype):
            self.handle.write(encoded(values.astype(self.dtype, copy=False)))
            return
        line = encoded(values.astype(object))
        self.handle.write(line + b"\n")
        self._text_bytes += len(line)
        self._lines += 1

    def size(self) -> int:
        if is_text(self.dtype):
            return self._text_bytes + max(self._lines - 1, 0) + 2
        return self.rows * self.dtype.itemsize * int(np.prod(self.spec.row))

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        self.handle.seek(0)
        if is_text(self.dtype):
            yield from self._texts(rows)
            return
        width = self.dtype.itemsize * int(np.prod(self.spec.row))
        for start in range(0, self.rows, rows):
            count = min(rows, self.rows - start)
            yield np.frombuffer(self.handle.read(count * width), dtype=self.dtype).reshape(count, *self.spec.row)

    def _texts(self, rows: int) -> Iterator[np.ndarray]:
        waiting: list[str] = []
        for line in self.handle:
            waiting += json.loads(b"[" + line + b"]")
            while len(waiting) >= rows:
                yield np.array(waiting[:rows], dtype=object)
                del waiting[:rows]
        if waiting:
            yield np.array(waiting, dtype=object)
