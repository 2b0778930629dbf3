"""The one file format between stages: flat HDF5 with units, settings and a digest of the content.

Every file carries its format name and version, the settings that produced it, the digests of the files it was made
from and the digest of its own content. `read_store` verifies all of that, so a truncated, altered or outdated file is
an error that names the file and the command that rebuilds it, never a wrong number.

Uses only NumPy and h5py: the Psi4 interpreter imports it too.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from psigraph import __version__


class StoreError(ValueError):
    """A file between two stages cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Column:
    """One dataset of a store: values, unit ("1" for dimensionless, "" for text) and what they are."""

    values: np.ndarray
    unit: str
    description: str = ""


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


def canonical_json(value: Any) -> str:
    """Return JSON whose text depends on the content alone: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON-serialisable value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def content_digest(columns: Mapping[str, Column], settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 over names, types, shapes, units and values of `columns`, and over `settings`.

    Times, versions and host names do not enter, so equal content has equal digests.
    """
    h = hashlib.sha256(canonical_json(settings).encode())
    for name in sorted(columns):
        column = columns[name]
        values = np.asarray(column.values)
        if values.dtype.kind in "OUST":
            body = canonical_json([str(v) for v in values.ravel()]).encode()
            kind = "text"
        else:
            body = np.ascontiguousarray(values).tobytes()
            kind = values.dtype.str
        h.update(canonical_json([name, kind, list(values.shape), column.unit, len(body)]).encode())
        h.update(body)
    return h.hexdigest()


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
    tracked = {name: column for name, column in columns.items() if name not in untracked}
    digest = content_digest(tracked, settings)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = format
        file.attrs["format_version"] = version
        file.attrs["psigraph_version"] = __version__
        file.attrs["settings"] = canonical_json(settings)
        file.attrs["settings_digest"] = digest_of(settings)
        file.attrs["inputs"] = canonical_json(dict(inputs or {}))
        file.attrs["untracked"] = canonical_json(list(untracked))
        file.attrs["digest"] = digest
        for key, value in (attributes or {}).items():
            file.attrs[key] = value
        for name, column in columns.items():
            values = np.asarray(column.values)
            if values.dtype.kind in "OUST":
                dataset = file.create_dataset(name, shape=values.shape, dtype=h5py.string_dtype())
                dataset[...] = values.astype(object)
            else:
                dataset = file.create_dataset(name, data=values)
            dataset.attrs["units"] = column.unit
            if column.description:
                dataset.attrs["description"] = column.description
    return digest


_ROOT_KEYS = {
    "format",
    "format_version",
    "psigraph_version",
    "settings",
    "settings_digest",
    "inputs",
    "untracked",
    "digest",
}


def read_store(path: str | Path, *, format: str, version: int, remedy: str) -> Store:
    """Read and verify a whole store; `remedy` is the command that rebuilds it.

    Raises StoreError where the file is missing, unreadable, of another format or version, or does not match its digest.
    """
    path = Path(path)
    if path.suffix in (".pt", ".pth"):
        raise StoreError(f"{path}: a torch cache is not read (it can run code on loading); build shards with: {remedy}")
    if not path.is_file():
        raise StoreError(f"{path}: no such file; make it with: {remedy}")
    try:
        with h5py.File(path, "r") as file:
            attrs = dict(file.attrs)
            found = (str(attrs.get("format", "unknown")), int(attrs.get("format_version", -1)))
            if found != (format, version):
                raise StoreError(
                    f"{path}: holds format {found[0]!r} version {found[1]}, "
                    f"expected {format!r} version {version}; rebuild it with: {remedy}"
                )
            columns: dict[str, Column] = {}

            def visit(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    values = item.asstr()[...] if h5py.check_string_dtype(item.dtype) else item[...]
                    columns[name] = Column(
                        np.asarray(values), str(item.attrs["units"]), str(item.attrs.get("description", ""))
                    )

            file.visititems(visit)
            settings = json.loads(attrs["settings"])
            inputs = json.loads(attrs["inputs"])
            untracked = json.loads(attrs["untracked"])
    except StoreError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path}: cannot be read as HDF5 ({error}); rebuild it with: {remedy}") from error
    tracked = {name: column for name, column in columns.items() if name not in untracked}
    if content_digest(tracked, settings) != attrs["digest"]:
        raise StoreError(
            f"{path}: its content does not match its digest (the file was altered or damaged); "
            f"delete it and rebuild it with: {remedy}"
        )
    attributes = {key: value for key, value in attrs.items() if key not in _ROOT_KEYS}
    return Store(path, columns, settings, inputs, str(attrs["digest"]), attributes)
