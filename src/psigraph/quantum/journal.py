"""The content-addressed store of Psi4 results: append-only journals with many records each.

A record is found again whatever its dataset is called and wherever it stands there. Each process writes a journal of
its own, so several may write at once; a record is on disk when `put` returns. A journal that ends in half a record
(kill -9, power loss) loses that record only.

A journal is records one after another (`record_bytes.py`); the first has key 0 and states the level. Opening reads the
prefixes only.
"""

import logging
import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.model import OK, Record
from psigraph.quantum.record_bytes import MAGIC, PREFIX_SIZE, JournalError, decode, encode, frame, prefix_of, unframe
from psigraph.stores import digest_of

__all__ = ["MAX_CRASHES", "SUFFIX", "JournalError", "Journals", "decode", "describe", "encode", "level_folder"]

SUFFIX = ".journal"
#: A system on which Psi4 crashed this often is not tried again.
MAX_CRASHES = 2
_DESCRIPTION_KEY = "0" * 64
_READ_AHEAD = 32768  # bytes: most records come with one read
_MAX_OPEN = 64  # journals

log = logging.getLogger(__name__)


class _Place(NamedTuple):
    """Where a record stands."""

    written: int  # ns since 1970
    journal: int
    offset: int


def level_folder(folder: Path, level: Mapping[str, Any] | None) -> Path:
    """Return where the journals of a level (normalised; None for what needs no level) and this FEATURE_VERSION lie."""
    return folder / digest_of(_description(level))[:16]


def _description(level: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"level": None if level is None else dict(level), "feature_version": FEATURE_VERSION}


def describe(path: Path) -> dict[str, Any]:
    """Return level and feature_version of a journal. Raises JournalError naming the file where it says nothing."""
    with open(path, "rb") as handle:
        data = handle.read(_READ_AHEAD)
    try:
        key, header, _ = unframe(data)
    except JournalError as error:
        raise JournalError(f"{path}: {error}") from None
    if key != _DESCRIPTION_KEY:
        raise JournalError(f"{path}: does not begin with the description of a journal")
    return header


class Journals:
    """All journals of one level: what is known, and a journal of this process's own for what it adds.

    Not for several threads. `refresh` takes in what other processes wrote since.
    """

    def __init__(self, folder: Path, level: Mapping[str, Any] | None, *, exact: bool = False) -> None:
        """Read the journals of a level below `folder`; where `exact` is set, those in `folder` itself."""
        self.level = None if level is None else dict(level)
        self.folder = Path(folder) if exact else level_folder(Path(folder), level)
        self._index: dict[bytes, tuple[_Place, ...]] = {}  # key -> its records in the order of time
        self._paths: list[Path] = []
        self._ends: dict[Path, int] = {}  # up to where a journal was read
        self._open: dict[int, int] = {}  # journal -> file descriptor
        self._own: tuple[int, Path] | None = None  # process, its journal
        self.refresh()

    def refresh(self) -> None:
        """Read what came since the last time."""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path not in self._ends:
                self._paths.append(path)
                self._ends[path] = 0
        for number, path in enumerate(self._paths):
            if path.stat().st_size > self._ends[path]:
                self._scan(number, path)

    def _scan(self, number: int, path: Path) -> None:
        """Note what stands in a journal behind where it was read up to."""
        with open(path, "rb", buffering=0) as handle:
            size, where = os.fstat(handle.fileno()).st_size, self._ends[path]
            while where < size:
                found = prefix_of(os.pread(handle.fileno(), PREFIX_SIZE, where))
                end = size + 1 if found is None else where + PREFIX_SIZE + found.size
                if found is not None and end <= size:
                    self._note(found.key, _Place(found.written, number, where))
                else:
                    end = _next_record(handle.fileno(), where + 1, size)
                    if end == size:  # the rest may still come: another process may be writing it
                        log.info("%s: an unfinished record at byte %d is left out", path, where)
                        break
                    log.warning("%s: bytes %d to %d are damaged and are left out", path, where, end)
                where = end
        self._ends[path] = where

    def _note(self, key: str, place: _Place) -> None:
        if key != _DESCRIPTION_KEY:
            raw = bytes.fromhex(key)
            known = self._index.get(raw)
            self._index[raw] = (place,) if known is None else tuple(sorted((*known, place)))

    def __len__(self) -> int:
        return len(self._index)

    def mean_size(self) -> float:
        """Return how many bytes of the journals there are for each key; 0 where there is none."""
        return sum(self._ends.values()) / len(self) if len(self) else 0.0

    def __iter__(self) -> Iterator[tuple[str, Record]]:
        """Yield every key with its merged record: all features that are known of it, else the last failure."""
        for raw in list(self._index):
            records = self._records(raw, None)
            if records:
                yield raw.hex(), _merged(records) or records[-1]

    def get(self, key: str, names: Iterable[str], limits: Mapping[str, Any] | None = None) -> Record | None:
        """Return what is known under `key`, or None where it must be computed.

        `names` are the features the record must hold: those that apply to the system (`model.applicable`); others are
        not returned. A failure counts where trying again would not help: input and convergence always, random after
        MAX_CRASHES, resources where it was allowed at least `limits` (time_s, memory_mb; a missing one is unlimited;
        without `limits` always).
        """
        wanted = tuple(names)
        records = self._records(bytes.fromhex(key), wanted)
        merged = _merged(records)
        if merged is not None and all(name in merged.values for name in wanted):
            return merged
        return _counting_failure(records, wanted, limits)

    def _records(self, raw: bytes, names: Collection[str] | None) -> list[Record]:
        """Return the undamaged records of a key in the order they were written."""
        records = []
        for _, number, where in self._index.get(raw, ()):
            try:
                found, record = decode(self._read(number, where), names)
                if found != raw.hex():
                    raise JournalError(f"record {found[:12]} stands where {raw.hex()[:12]} stood")
                records.append(record)
            except (JournalError, OSError) as error:
                log.warning("%s: byte %d: %s; it is computed again", self._paths[number], where, error)
        return records

    def _read(self, number: int, where: int) -> bytes:
        if number not in self._open:
            if len(self._open) >= _MAX_OPEN:
                self.close()
            self._open[number] = os.open(self._paths[number], os.O_RDONLY)
        data = os.pread(self._open[number], _READ_AHEAD, where)
        found = prefix_of(data)
        missing = 0 if found is None else PREFIX_SIZE + found.size - len(data)
        return data if missing <= 0 else data + os.pread(self._open[number], missing, where + len(data))

    def put(self, key: str, record: Record) -> None:
        """Write a record to this process's journal; it is on disk on return. Features known before stay known."""
        written = time.time_ns()
        data = encode(key, record, written)
        path = self._own_journal()
        where = self._append(path, data)
        self._note(key, _Place(written, self._paths.index(path), where))
        self._ends[path] = where + len(data)

    def _own_journal(self) -> Path:
        """Return the journal of this process, made where there is none yet."""
        if self._own is None or self._own[0] != os.getpid():
            self.folder.mkdir(parents=True, exist_ok=True)
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
            path = self.folder / f"{stamp}-{uuid.uuid4().hex[:12]}{SUFFIX}"
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            self._append(path, frame(_DESCRIPTION_KEY, _description(self.level), b""))
            for folder in (self.folder, self.folder.parent):
                _sync_folder(folder)
            self._paths.append(path)
            self._own = (os.getpid(), path)
        return self._own[1]

    def _append(self, path: Path, data: bytes) -> int:
        """Append and sync; return where the data begins. A write that fails halfway is undone."""
        with open(path, "r+b", buffering=0) as handle:
            where = handle.seek(0, os.SEEK_END)
            try:
                written = 0
                while written < len(data):
                    written += handle.write(data[written:]) or 0
                os.fsync(handle.fileno())
            except OSError:
                handle.truncate(where)
                raise
        return where

    def close(self) -> None:
        """Close the files; the next access opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def __enter__(self) -> "Journals":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _next_record(file: int, where: int, size: int) -> int:
    """Return where the next undamaged prefix begins at or after `where`, `size` where there is none."""
    while where < size:
        data = os.pread(file, 1 << 20, where)
        at = data.find(MAGIC)
        if at < 0:
            where += max(1, len(data) - len(MAGIC) + 1)
        elif prefix_of(os.pread(file, PREFIX_SIZE, where + at)) is not None:
            return where + at
        else:
            where += at + 1
    return size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _merged(records: Sequence[Record]) -> Record | None:
    """Return the union of the features of all successes, of each the latest; None without a success.

    The wall time is the sum, for each added features; the attempts are the latest ones.
    """
    values: dict[str, np.ndarray] = {}
    parts: list[Record] = []
    for record in reversed(records):
        new = {name: value for name, value in record.values.items() if name not in values}
        if record.ok and (new or not parts):
            values.update(new)
            parts.insert(0, record)
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    return Record(
        OK,
        values=values,
        attempts=parts[-1].attempts,
        wall_time=sum(part.wall_time for part in parts),
        psi4_version=", ".join(sorted({v for part in parts for v in part.psi4_version.split(", ") if v})),
        limits=parts[-1].limits,
    )


def _counting_failure(
    records: Sequence[Record], names: Collection[str], limits: Mapping[str, Any] | None
) -> Record | None:
    """Return the latest failure since the last success that would come again for `names` within `limits`."""
    since = next((len(records) - i for i, record in enumerate(reversed(records)) if record.ok), 0)
    failures = [record for record in records[since:] if set(record.asked) <= set(names)]
    crashes = sum(record.status == "random" for record in failures)
    for record in reversed(failures):
        if record.status in ("input", "convergence"):
            return record
        if record.status == "resources" and (limits is None or _allowed(record.limits, limits)):
            return record
        if record.status == "random" and crashes >= MAX_CRASHES:
            return record
    return None


def _allowed(had: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    """Whether every limit was at least as generous as it is now; a missing limit is none."""
    keys = {*had, *present}
    return all(had.get(key, np.inf) >= present.get(key, np.inf) for key in keys)
