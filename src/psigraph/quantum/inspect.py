"""What is in quantum stores and journals, as text. Works without Psi4."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.journal import SUFFIX, JournalError, Journals, describe, level_folder
from psigraph.quantum.model import FAILURE_CLASSES, OK, SYSTEM_NAMES
from psigraph.quantum.store import REMEDY
from psigraph.quantum.store_writer import FORMAT, OFFSETS, VERSION
from psigraph.quantum.table import FEATURES
from psigraph.quantum.text import aligned, duration, first_few, size
from psigraph.stores import Store, StoreError, canonical_json, read_store

#: How many of the slowest, of a class's messages and of the structures with several attempts are named.
SLOWEST, MESSAGES, RETRIED = 5, 5, 10
_LONGEST_LINE = 160


@dataclass(frozen=True)
class Row:
    """One structure of a store, or one system of a journal."""

    name: str
    status: str
    message: str
    wall_time: float  # s
    attempts: tuple[str, ...]
    n_atoms: int | None  # None where it is not known


def inspect(paths: Sequence[Path]) -> str:
    """Return what is in quantum stores (files) and journals (folders); stores of equal settings are taken together.

    Raises StoreError naming the path that cannot be read.
    """
    stores: dict[str, list[Store]] = {}
    sections: list[list[str]] = []
    for path in paths:
        if path.is_dir():
            sections += _folder(path)
        else:
            store = read_store(path, format=FORMAT, version=VERSION, remedy=REMEDY)
            stores.setdefault(canonical_json(store.settings), []).append(store)
    sections += [_stores(group) for group in stores.values()]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _stores(stores: Sequence[Store]) -> list[str]:
    """Describe stores that share program, level and features."""
    settings = stores[0].settings
    rows = [row for store in stores for row in _rows_of(store)]
    counts = {
        scope: sum(int(store[column][-1]) for store in stores)
        for scope, column in OFFSETS.items()
        if all(column in store for store in stores)
    }
    versions = sorted({str(store.attributes.get("psi4_version", "")) for store in stores} - {""})
    features = [str(name) for name in settings.get("features", [])]
    head = [
        ("format", f"{FORMAT} {VERSION}"),
        *_origin_lines(settings, versions),
        ("features", f"{len(features)}, of version {settings.get('feature_version')}"),
        *((f"  by {per}", ", ".join(names)) for per, names in _by_scope(features).items()),
        ("rows", ", ".join(f"{n:,} by {scope}" for scope, n in counts.items())),
        ("on disk", size(sum(store.path.stat().st_size for store in stores))),
    ]
    return [_title([store.path for store in stores]), *_body(head, rows, "structures")]


def _rows_of(store: Store) -> list[Row]:
    atoms = np.diff(store["offsets"])
    columns = (store[name] for name in ("ids", "status", "message", "wall_time", "attempts"))
    return [
        Row(str(name), str(status), str(message), float(time), tuple(str(lines).splitlines()), int(n))
        for name, status, message, time, lines, n in zip(*columns, atoms, strict=True)
    ]


def _folder(folder: Path) -> list[list[str]]:
    """Describe every level of a folder of journals, or the stores of a folder of batches."""
    files = sorted(folder.rglob(f"*{SUFFIX}"))
    if files:
        return [_journals(level) for level in sorted({file.parent for file in files})]
    batches = sorted(folder.glob("*.h5"), key=lambda path: (len(path.name), path.name))
    if not batches:
        raise StoreError(f"{folder}: holds no journals (*{SUFFIX}) and no quantum stores (*.h5)")
    return [inspect(batches).rstrip("\n").splitlines()]


def _journals(folder: Path) -> list[str]:
    """Describe the journals of one level."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    description = next(filter(None, map(_description, files)), None)
    if description is None:
        raise StoreError(f"{folder}: none of its {len(files)} journals says what it holds; they are damaged")
    level = description["level"]
    features: Counter[str] = Counter()
    versions: set[str] = set()
    rows = []
    with Journals(folder, level, exact=True) as journals:
        for key, record in journals:
            features.update(record.values.keys())
            versions.update(filter(None, record.psi4_version.split(", ")))
            atoms = next((len(v) for name, v in record.values.items() if _per(name) == "atom"), None)
            rows.append(Row(key[:12], record.status, record.message, record.wall_time, record.attempts, atoms))
    head = [
        ("format", f"journals, {len(files)} files"),
        *_origin_lines({"program": "psi4", "level": level}, sorted(versions)),
        ("features", f"{len(features)}, of version {description['feature_version']}; records that hold it in brackets"),
        *(
            (f"  by {per}", ", ".join(f"{name} ({features[name]})" for name in names))
            for per, names in _by_scope(features).items()
        ),
        ("on disk", size(sum(file.stat().st_size for file in files))),
    ]
    if folder != level_folder(folder.parent, level):
        head.insert(1, ("unused", "it was written for another version of the features, or moved"))
    return [_title([folder]), *_body(head, rows, "systems")]


def _description(file: Path) -> Mapping[str, Any] | None:
    try:
        return describe(file)
    except JournalError:
        return None


def _title(paths: Sequence[Path]) -> str:
    if len(paths) == 1:
        return str(paths[0])
    parents = {path.parent for path in paths}
    return (
        f"{parents.pop()}: {len(paths)} files" if len(parents) == 1 else f"{paths[0]} and {len(paths) - 1} more files"
    )


def _per(name: str) -> str:
    return FEATURES[name].per if name in FEATURES else "unknown"


def _by_scope(names: Iterable[str]) -> dict[str, list[str]]:
    """Return features by what they belong to, in the table's order."""
    order = {name: k for k, name in enumerate(FEATURES)}
    result: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        result.setdefault(_per(name), []).append(name)
    return result


def _origin_lines(settings: Mapping[str, Any], versions: Sequence[str]) -> list[tuple[str, str]]:
    level = settings.get("level")
    program = str(settings.get("program", "psi4")).replace("psi4", "Psi4")
    known = ", ".join(versions) or ("(version unknown)" if program == "Psi4" else "")
    return [
        ("program", known if known.startswith(program) else f"{program} {known}".strip()),
        ("level", ", ".join(f"{k} {v}" for k, v in level.items()) if level else "none"),
    ]


def _body(head: Sequence[tuple[str, str]], rows: Sequence[Row], what: str) -> list[str]:
    """Say what `head` says, counts, times, failures, the slowest, and who needed more than one attempt."""
    failures = [row for row in rows if row.status != OK]
    times = np.array([row.wall_time for row in rows])
    lines = [*head, ("counts", f"{len(rows):,} {what}: {len(rows) - len(failures):,} ok, {len(failures):,} failed")]
    if len(rows):
        lines.append(
            (
                "time",
                f"{duration(times.sum())} in all; median {duration(float(np.median(times)))}, "
                f"longest {duration(times.max())}",
            )
        )
    return [*aligned(lines, "  "), *_failures(failures), *_slowest(rows), *_retried(rows)]


def _failures(failures: Sequence[Row]) -> list[str]:
    lines = []
    for status in FAILURE_CLASSES:
        members = [row for row in failures if row.status == status]
        if not members:
            continue
        lines.append(f"  failed: {status}, {len(members)}")
        by_message: dict[str, list[str]] = {}
        for row in members:
            by_message.setdefault(row.message or "(no message)", []).append(row.name)
        ranked = sorted(by_message.items(), key=lambda item: -len(item[1]))
        for text, names in ranked[:MESSAGES]:
            lines += [f"    {len(names)} x {first_few(names)}", _short(f"      {text}")]
        if len(ranked) > MESSAGES:
            lines.append(f"    and {len(ranked) - MESSAGES} more messages")
    return lines


def _short(line: str) -> str:
    text = " ".join(line.split())
    text = line[: len(line) - len(line.lstrip())] + text
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 3] + "..."


def _slowest(rows: Sequence[Row]) -> list[str]:
    ranked = sorted(rows, key=lambda row: -row.wall_time)[:SLOWEST]
    if not ranked or ranked[0].wall_time <= 0:
        return []
    table = [
        (row.name, "" if row.n_atoms is None else f"{row.n_atoms} atoms", duration(row.wall_time), row.status)
        for row in ranked
    ]
    return ["  slowest", *aligned(table, "    ", right=(1, 2))]


def further_attempts(row: Row) -> int:
    """Return how many SCF attempts were made beyond the first of each system."""
    systems = {line.split(": ", 1)[0] for line in row.attempts if line.split(": ", 1)[0] in SYSTEM_NAMES}
    return max(0, len(row.attempts) - max(1, len(systems)))


def _retried(rows: Sequence[Row]) -> list[str]:
    retried = [row for row in rows if further_attempts(row)]
    if not retried:
        return []
    lines = [f"  more than one attempt: {len(retried)}"]
    for row in sorted(retried, key=lambda row: -further_attempts(row))[:RETRIED]:
        lines.append(f"    {row.name}: {row.status}")
        lines += [_short(f"      {line}") for line in row.attempts]
    if len(retried) > RETRIED:
        lines.append(f"    and {len(retried) - RETRIED} more")
    return lines
