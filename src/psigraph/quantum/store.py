"""The quantum store: the features of one batch of structures, and reading all batches of a dataset as one.

Structure i of a structure store belongs to batch i % batches.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.levels import LevelError, normalise_level
from psigraph.quantum.model import OK, STATUSES, DimerResult
from psigraph.quantum.records import NUMBERS, UNTRACKED
from psigraph.stores import Column, Store, StoreError, canonical_json, read_store, write_store

FORMAT = "psigraph-quantum"
VERSION = 1
REMEDY = "snakemake --cores 8 features"

log = logging.getLogger(__name__)

_COLUMNS = ("ids", "offsets", "status", "message", *(name for name, _, _ in NUMBERS))
_BY_ATOM = ("mulliken_spd", "mulliken_charge")


@dataclass(frozen=True)
class QuantumSet:
    """Quantum features of n structures, row i belonging to structure i. Failed rows are NaN. m = dimer, A, B."""

    ids: np.ndarray  # (n,) text
    offsets: np.ndarray  # (n+1,) int64
    status: np.ndarray  # (n,) text: ok, input, resources, convergence or random
    message: np.ndarray  # (n,) text
    energy: np.ndarray  # (n, 3) hartree, by m; A and B in the dimer's basis
    interaction_energy: np.ndarray  # (n,) hartree
    dipole: np.ndarray  # (n, 3, 3) e·Å, by m
    quadrupole: np.ndarray  # (n, 3, 3, 3) e·Å², by m, traceless
    origin: np.ndarray  # (n, 3) Å, what the moments refer to
    mulliken_spd: np.ndarray  # (ΣN, 3) electrons
    mulliken_charge: np.ndarray  # (ΣN,) e
    participation_ratio: np.ndarray  # (n,)
    wall_time: np.ndarray  # (n,) s
    settings: Mapping[str, Any]  # level, feature_version
    digests: Mapping[str, str]  # file -> content digest
    structures_digest: str  # of the structure store that was computed
    psi4_version: str

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def ok(self) -> np.ndarray:
        """Which rows hold features (n,) bool."""
        return self.status == OK

    def atoms(self, i: int) -> slice:
        """Return the rows of structure i in mulliken_spd and mulliken_charge."""
        return slice(int(self.offsets[i]), int(self.offsets[i + 1]))


def store_settings(level: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies the content of a quantum store."""
    return {"level": normalise_level(level), "feature_version": FEATURE_VERSION}


def write_quantum(
    path: str | Path,
    *,
    ids: Sequence[str],
    index: Sequence[int],
    results: Sequence[DimerResult],
    level: Mapping[str, Any],
    structures_digest: str,
) -> str:
    """Write the results of one batch and return the content digest. `index` is the row in the structure store."""
    atoms = [len(result.mulliken_charge) for result in results]
    columns = {
        "ids": Column(np.array([str(i) for i in ids], dtype=object), "", "unique name of each structure"),
        "index": Column(np.array(index, dtype=np.int64), "1", "row in the structure store"),
        "offsets": Column(
            np.cumsum([0, *atoms], dtype=np.int64), "1", "structure i is rows offsets[i] to offsets[i+1]-1 by atom"
        ),
        "status": Column(np.array([r.status for r in results], dtype=object), "", "one of " + ", ".join(STATUSES)),
        "message": Column(np.array([r.message for r in results], dtype=object), "", "why Psi4 failed"),
    }
    empty = DimerResult(status=OK)
    for name, unit, text in NUMBERS:
        shape = np.shape(getattr(empty, name))
        values = [getattr(r, name) for r in results]
        if name in _BY_ATOM:
            stacked = np.concatenate([np.zeros((0, *shape[1:])), *values])
        else:
            stacked = np.array(values, dtype=np.float64).reshape(len(results), *shape)
        columns[name] = Column(stacked, unit, text)
    versions = sorted({result.psi4_version for result in results if result.psi4_version})
    return write_store(
        path,
        format=FORMAT,
        version=VERSION,
        columns=columns,
        settings=store_settings(level),
        inputs={"structures": structures_digest},
        attributes={"psi4_version": ", ".join(versions)},
        untracked=UNTRACKED,
    )


def read_quantum(
    paths: Sequence[str | Path],
    *,
    level: Mapping[str, Any] | None = None,
    structures_digest: str | None = None,
    ids: Sequence[str] | np.ndarray | None = None,
    remedy: str = REMEDY,
) -> QuantumSet:
    """Read all batches of a dataset, in the order of the structure store.

    `level` is the level of theory that is expected, `structures_digest` and `ids` the content digest and the ids of
    the structure store that goes with it; where given they are checked. Raises StoreError naming file, both values and
    remedy where they differ, where batches differ among themselves, or where a structure is missing or stands in two
    batches.
    """
    if not paths:
        raise StoreError(f"no quantum files were given; make them with: {remedy}")
    stores = [read_store(path, format=FORMAT, version=VERSION, remedy=remedy) for path in paths]
    expected = dict(stores[0].settings) if level is None else store_settings(level)
    digest = stores[0].inputs.get("structures", "") if structures_digest is None else structures_digest
    for store in stores:
        _check(store, expected, digest, remedy)
    result = _join(stores, digest, remedy)
    if ids is not None and list(map(str, ids)) != list(result.ids):
        names = [str(i) for i in ids]
        where = next((k for k in range(min(len(names), result.n)) if names[k] != result.ids[k]), None)
        what = (
            f"{result.n} structures, expected {len(names)}"
            if where is None
            else f"structure {result.ids[where]!r} in row {where}, expected {names[where]!r}"
        )
        raise StoreError(f"{paths[0]}: its dataset has {what}; rebuild it with: {remedy}")
    return result


def _check(store: Store, expected: Mapping[str, Any], digest: str, remedy: str) -> None:
    """Raise StoreError where settings, input or columns of one batch do not fit."""
    missing = [name for name in ("index", *_COLUMNS) if name not in store]
    if missing:
        raise StoreError(f"{store.path}: lacks the columns {', '.join(missing)}; rebuild it with: {remedy}")
    found = dict(store.settings)
    try:
        found["level"] = normalise_level(found.get("level", {}))
    except LevelError as error:
        raise StoreError(f"{store.path}: {error}; rebuild it with: {remedy}") from None
    if canonical_json(found) != canonical_json(expected):
        raise StoreError(f"{store.path}: {_difference(found, expected)}; rebuild it with: {remedy}")
    if digest and store.inputs.get("structures") != digest:
        raise StoreError(
            f"{store.path}: was made from a structure file with digest {str(store.inputs.get('structures'))[:12]}, "
            f"expected {digest[:12]}; rebuild it with: {remedy}"
        )


def _difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Say which settings differ, with both values."""

    def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
        rest = {key: value for key, value in settings.items() if key != "level"}
        return {**{f"level {key}": value for key, value in settings.get("level", {}).items()}, **rest}

    a, b = flat(found), flat(expected)
    differing = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    return ", ".join(f"was computed with {key} = {a.get(key)!r}, expected {b.get(key)!r}" for key in differing)


def _join(stores: Sequence[Store], digest: str, remedy: str) -> QuantumSet:
    """Concatenate batches and put rows in the order of the structure store."""
    index = np.concatenate([store["index"] for store in stores])
    n = len(index)
    counts = np.bincount(index)  # (n,) where all is well
    if len(counts) != n or (counts != 1).any():
        twice, missing = np.flatnonzero(counts > 1), np.flatnonzero(counts == 0)
        what = f"row {twice[0]} is in {counts[twice[0]]} batches" if len(twice) else f"row {missing[0]} is in no batch"
        files = ", ".join(str(store.path) for store in stores)
        raise StoreError(
            f"{files}: together they do not cover the structures once: {what}; rebuild them with: {remedy}"
        )
    order = np.argsort(index)
    joined = {name: np.concatenate([store[name] for store in stores]) for name in _COLUMNS if name != "offsets"}
    starts = np.concatenate([store["offsets"][:-1] for store in stores])
    sizes = np.concatenate([np.diff(store["offsets"]) for store in stores])
    base = np.cumsum([0, *(int(store["offsets"][-1]) for store in stores)])[:-1]
    starts = starts + np.repeat(base, [len(store["index"]) for store in stores])
    rows = [np.arange(starts[i], starts[i] + sizes[i]) for i in order]
    atoms = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    columns = {name: values[atoms if name in _BY_ATOM else order] for name, values in joined.items()}
    versions = sorted({str(store.attributes.get("psi4_version", "")) for store in stores} - {""})
    return QuantumSet(
        **columns,
        offsets=np.cumsum([0, *sizes[order]], dtype=np.int64),
        settings=dict(stores[0].settings),
        digests={str(store.path): store.digest for store in stores},
        structures_digest=digest,
        psi4_version=", ".join(versions),
    )
