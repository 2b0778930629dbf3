"""Bytes of one record of a journal, see `journal.py`: a prefix of fixed size, a JSON header, the bytes of the arrays.

Little-endian throughout; no pickle. The prefix has a checksum of its own, so that a journal can be walked from prefix
to prefix; the digest over the rest is checked when a record is used.
"""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from psigraph.quantum.model import Record
from psigraph.stores import canonical_json

MAGIC = b"psigjr1\n"
#: Magic, key, when it was written [ns], length of JSON header, length and digest of the payload (header and arrays).
_PREFIX = struct.Struct("<8s32sQIQ16s")
_CRC = struct.Struct("<I")  # of the prefix
PREFIX_SIZE = _PREFIX.size + _CRC.size


class Prefix(NamedTuple):
    """What stands before a record."""

    key: str
    written: int  # ns since 1970
    header_size: int  # bytes
    size: int  # bytes behind the prefix, the header's among them
    digest: bytes


class JournalError(ValueError):
    """Bytes are not a record, or a record cannot be written; the message says why."""


def encode(key: str, record: Record, written: int = 0) -> bytes:
    """Return a record as bytes; `key` is a SHA-256 in hex, `written` a time [ns]: of two records the later counts.

    Raises JournalError for another key and for arrays of anything but numbers.
    """
    arrays = {name: _little_endian(name, value) for name, value in record.values.items()}
    header = {
        "status": record.status,
        "message": record.message,
        "attempts": list(record.attempts),
        "wall_time": float(record.wall_time),
        "psi4_version": record.psi4_version,
        "limits": dict(record.limits),
        "asked": list(record.asked),
        "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()],
    }
    return frame(key, header, b"".join(array.tobytes() for array in arrays.values()), written)


def _little_endian(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise JournalError(f"feature {name!r}: an array of type {array.dtype} cannot be kept, only numbers")
    return array.astype(array.dtype.newbyteorder("<"))


def frame(key: str, header: Mapping[str, Any], body: bytes, written: int = 0) -> bytes:
    """Return prefix, header and body as bytes. Raises JournalError where `key` is not a SHA-256 in hex."""
    try:
        raw_key = bytes.fromhex(key)
    except ValueError:
        raw_key = b""
    if len(raw_key) != 32:
        raise JournalError(f"key {key!r} is not a SHA-256 in hex (64 digits)")
    text = canonical_json(header).encode()
    payload = text + body
    digest = hashlib.blake2b(payload, digest_size=16).digest()
    prefix = _PREFIX.pack(MAGIC, raw_key, written, len(text), len(payload), digest)
    return prefix + _CRC.pack(zlib.crc32(prefix)) + payload


def prefix_of(data: bytes) -> Prefix | None:
    """Return the prefix at the beginning of `data`, or None where no undamaged one stands."""
    if len(data) < PREFIX_SIZE or not data.startswith(MAGIC):
        return None
    if _CRC.unpack_from(data, _PREFIX.size)[0] != zlib.crc32(data[: _PREFIX.size]):
        return None
    _, key, *rest = _PREFIX.unpack_from(data)
    return Prefix(key.hex(), *rest)


def unframe(data: bytes) -> tuple[str, dict[str, Any], memoryview]:
    """Return key, header and body of what `frame` gave; more bytes may follow. Raises JournalError for damage."""
    found = prefix_of(data)
    if found is None:
        raise JournalError("no record begins here, or its prefix is damaged")
    payload = memoryview(data)[PREFIX_SIZE : PREFIX_SIZE + found.size]
    if len(payload) < found.size:
        raise JournalError(f"the record is cut off: {len(payload)} of {found.size} bytes")
    if hashlib.blake2b(payload, digest_size=16).digest() != found.digest:
        raise JournalError(f"record {found.key[:12]}: its content does not match its checksum")
    return found.key, json.loads(bytes(payload[: found.header_size])), payload[found.header_size :]


def decode(data: bytes, names: Collection[str] | None = None) -> tuple[str, Record]:
    """Return key and record of what `encode` gave; with `names` only these features. Raises JournalError for damage."""
    key, header, body = unframe(data)
    values, start = {}, 0
    for name, kind, shape in header["arrays"]:
        dtype = np.dtype(kind)
        count = math.prod(shape)
        if names is None or name in names:
            array = np.frombuffer(body, dtype, count, start) if count else np.zeros(0, dtype)
            values[name] = array.reshape(shape).astype(dtype.newbyteorder("="))
        start += count * dtype.itemsize
    return key, Record(
        status=header["status"],
        message=header["message"],
        values=values,
        attempts=tuple(header["attempts"]),
        wall_time=header["wall_time"],
        psi4_version=header["psi4_version"],
        limits=header["limits"],
        asked=tuple(header["asked"]),
    )
