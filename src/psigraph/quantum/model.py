"""What one SCF gave (`Record`) and what a structure gave (`Result`).

Uses only NumPy. Shapes of values, by what a feature belongs to (`table.py`), N atoms and P bonds of the structure:
of a record, system and structure (*shape), atom (N, *shape), bond (P, *shape), and so on; of a result the same, but
system (S, *shape): S = 1 for a molecule; 3 for a dimer, in the order dimer, A, B.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from psigraph.quantum.system import System
from psigraph.quantum.table import FEATURES

OK = "ok"
#: Why a calculation failed: wrong input, too little time, memory or disk, no convergence, anything else.
FAILURE_CLASSES = ("input", "resources", "convergence", "random")
STATUSES = (OK, *FAILURE_CLASSES)
#: What the systems of a dimer are called, in their order.
SYSTEM_NAMES = ("dimer", "A", "B")
#: Structure features made of a feature per system: dimer − A − B of the sum of these.
DERIVED: dict[str, tuple[str, ...]] = {
    "interaction_energy": ("energy",),
    "interaction_energy_mp2": ("energy", "mp2_correlation"),
}


@dataclass(frozen=True, eq=False)
class Record:
    """Features of one system, or the reason why there are none."""

    status: str
    message: str = ""
    values: Mapping[str, np.ndarray] = field(default_factory=dict)  # those that were computed
    attempts: tuple[str, ...] = ()  # one line per SCF attempt: settings tried and how it ended
    wall_time: float = 0.0  # s
    psi4_version: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)  # what it was allowed: time_s [s], memory_mb [MB]
    asked: tuple[str, ...] = ()  # of a failure that only these features can have caused; empty: it concerns all

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; known: {', '.join(STATUSES)}")

    @property
    def ok(self) -> bool:
        return self.status == OK


@dataclass(frozen=True, eq=False)
class Result:
    """Features of one structure, or the reason why there are none; a failed structure keeps no values."""

    status: str
    message: str = ""  # of a dimer it begins with the system: "dimer: ...", "A: ...", "B: ..."
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    origin: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))  # (3,) Å, what positions refer to
    attempts: tuple[str, ...] = ()
    wall_time: float = 0.0  # s, of all systems
    psi4_version: str = ""
    n_atoms: int = 0
    n_systems: int = 1

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"unknown status {self.status!r}; known: {', '.join(STATUSES)}")

    @property
    def ok(self) -> bool:
        return self.status == OK


def failed(status: str, message: str, **rest: Any) -> Record:
    """Return the record of a system that could not be computed; `rest` are further fields of a record."""
    if status not in FAILURE_CLASSES:
        raise ValueError(f"unknown failure class {status!r}; known: {', '.join(FAILURE_CLASSES)}")
    return Record(status, message, **rest)


def applicable(system: System, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the features `names` that Psi4 computes of `system`, in the order given.

    Left out are features of other programs, features that follow from several systems (`DERIVED`), and of a system with
    ghosts everything but features per system.
    """
    return tuple(
        name
        for name in names
        if FEATURES[name].program == "psi4"
        and name not in DERIVED
        and (system.is_whole or FEATURES[name].per == "system")
    )


def assemble(origin: np.ndarray, systems: Sequence[System], records: Sequence[Record], names: Sequence[str]) -> Result:
    """Return the result of a structure from the records of its systems, in their order; features of Psi4 only.

    `records` may end with the first failure. Raises ValueError where a record lacks a feature.
    """
    dimer = len(systems) > 1
    labels = SYSTEM_NAMES if dimer else ("",)
    common: dict[str, Any] = {
        "origin": np.asarray(origin, dtype=np.float64),
        "attempts": tuple(
            f"{label}: {line}" if label else line
            for label, record in zip(labels, records, strict=False)
            for line in record.attempts
        ),
        "wall_time": sum(record.wall_time for record in records),
        "psi4_version": ", ".join(sorted({r.psi4_version for r in records if r.psi4_version})),
        "n_atoms": systems[0].n_atoms,
        "n_systems": len(systems),
    }
    for label, record in zip(labels, records, strict=False):
        if not record.ok:
            return Result(record.status, f"{label}: {record.message}" if label else record.message, **common)
    if len(records) != len(systems):
        raise ValueError(f"{len(systems)} systems, but {len(records)} records and no failure among them")
    values = {}
    for name in names:
        if FEATURES[name].program == "psi4":
            values[name] = _value(name, records, labels)
    return Result(OK, values=values, **common)


def _value(name: str, records: Sequence[Record], labels: Sequence[str]) -> np.ndarray:
    if name in DERIVED:
        if len(records) == 1:
            return np.array(np.nan)
        dimer, a, b = (
            sum(_of(r, part, label) for part in DERIVED[name]) for r, label in zip(records, labels, strict=True)
        )
        return np.asarray(dimer - a - b, dtype=np.float64)
    if FEATURES[name].per == "system":
        return np.stack([_of(record, name, label) for record, label in zip(records, labels, strict=True)])
    return _of(records[0], name, labels[0])


def _of(record: Record, name: str, label: str) -> np.ndarray:
    if name not in record.values:
        raise ValueError(f"the record of {label or 'the molecule'} lacks feature {name!r}; compute the system again")
    return record.values[name]
