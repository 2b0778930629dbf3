"""What a file between two stages holds, and how its content is proved: one digest of all, checksums of small blocks.

The digest (SHA-256) says which content a file has. The checksums (CRC-32) stand beside each column, one for every few
rows: who reads a part of a large file proves that part, and not the rest.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Rows of text under one checksum; numbers: about this many bytes.
TEXT_ROWS, BLOCK_BYTES = 256, 2**14
#: Most checksums of one column: they are an attribute of it, and HDF5 limits these to 64 KiB.
MOST_CHECKSUMS = 2**13
#: Attributes of a column: its checksums, and the rows under each. The root says what they are.
CHECKSUMS, CHECKSUM_ROWS = "checksums", "checksum_rows"
CHECKSUMS_ARE = "CRC-32 of every checksum_rows rows of a column, text as JSON without brackets"
#: Attribute of a text column: the length of its body in the digest, which comes before the body.
TEXT_BYTES = "digest_bytes"


class StoreError(ValueError):
    """A file between two stages cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Column:
    """One dataset of a store: values, unit ("1" for dimensionless, "" for text) and what they are."""

    values: np.ndarray
    unit: str
    description: str = ""


def canonical_json(value: Any) -> str:
    """Return JSON whose text depends on the content alone: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON-serialisable value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def is_text(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "OUST"


def content_digest(columns: Mapping[str, Column], settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 over names, types, shapes, units and values of `columns`, and over `settings`.

    Times, versions and host names do not enter, so equal content has equal digests.
    """
    digest = ContentDigest(settings)
    for name in sorted(columns):
        values = np.asarray(columns[name].values)
        body = encoded(values.ravel())
        digest.column(name, values.dtype, values.shape, columns[name].unit, size_of_body([body], values.dtype))
        digest.add([body], values.dtype)
    return digest.hexdigest()


class ContentDigest:
    """`content_digest` in steps: `column` and then `add`, for one column after another, by sorted names."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._hash = hashlib.sha256(canonical_json(settings).encode())

    def column(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], unit: str, size: int) -> None:
        """Begin a column, whose body has `size` bytes (`size_of_body`)."""
        kind = "text" if is_text(dtype) else dtype.str
        self._hash.update(canonical_json([name, kind, list(shape), unit, size]).encode())

    def add(self, blocks: Iterable[Any], dtype: np.dtype[Any]) -> None:
        """Add the whole body of a column, its rows in blocks of any length as `encoded` returns them."""
        if not is_text(dtype):
            for block in blocks:
                self._hash.update(block)
            return
        separator = b"["
        for block in blocks:
            if block:
                self._hash.update(separator)
                self._hash.update(block)
                separator = b","
        self._hash.update(b"[]" if separator == b"[" else b"]")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def encoded(values: np.ndarray) -> Any:
    """Return the bytes of some rows: text as a JSON list without its brackets, numbers as they are in memory."""
    if is_text(values.dtype):
        return canonical_json([str(v) for v in values]).encode()[1:-1]
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def size_of_body(blocks: Iterable[Any], dtype: np.dtype[Any]) -> int:
    """Return how many bytes the body of a column has in the digest."""
    lengths = [len(block) for block in blocks]
    if not is_text(dtype):
        return sum(lengths)
    filled = sum(length > 0 for length in lengths)
    return sum(lengths) + max(filled - 1, 0) + 2


def rows_per_checksum(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Return how many rows of a column (n, ...) share a checksum."""
    row_bytes = BLOCK_BYTES // TEXT_ROWS if is_text(dtype) else dtype.itemsize * int(np.prod(shape[1:]))
    return max(1, BLOCK_BYTES // max(1, row_bytes), -(-shape[0] // MOST_CHECKSUMS))


def checksums_of(values: np.ndarray, rows: int) -> Iterator[int]:
    """Yield the CRC-32 of every `rows` rows."""
    for start in range(0, len(values), rows):
        yield zlib.crc32(encoded(values[start : start + rows]))
