"""The quantum store: the features of a batch of structures (`write_quantum`), and all batches of a dataset read as one.

Descriptors of other programs (RDKit, D4, shieldings) are stored and read the same way.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.levels import LevelError, normalise_level
from psigraph.quantum.model import OK
from psigraph.quantum.store_writer import FORMAT, OFFSETS, VERSION, store_settings, write_quantum
from psigraph.quantum.table import FEATURES
from psigraph.stores import Store, StoreError, canonical_json, read_store

__all__ = ["REMEDY", "QuantumSet", "read_quantum", "store_settings", "write_quantum"]

REMEDY = "snakemake --cores 8 features"
_BY_STRUCTURE = ("ids", "status", "message", "attempts", "wall_time", "origin", "n_systems")


@dataclass(frozen=True)
class QuantumSet:
    """Features of n structures, row i belonging to structure i. Failed rows are NaN, integers 0.

    `values` by feature: system (n, S, *shape) with S = 3 (dimer, A, B) where there is a dimer, else 1; structure
    (n, *shape); others flat (Σ rows, *shape), structure i at `rows(scope, i)`.
    """

    ids: np.ndarray  # (n,) text
    status: np.ndarray  # (n,) text: ok, input, resources, convergence or random
    message: np.ndarray  # (n,) text
    attempts: np.ndarray  # (n,) text, one line per SCF attempt
    wall_time: np.ndarray  # (n,) s
    origin: np.ndarray  # (n, 3) Å, what moments refer to
    n_systems: np.ndarray  # (n,) 1 for a molecule, 3 for a dimer
    values: Mapping[str, np.ndarray]
    offsets: Mapping[str, np.ndarray]  # scope -> (n+1,) int64
    settings: Mapping[str, Any]  # program, level, feature_version, features
    digests: Mapping[str, str]  # file -> content digest
    structures_digest: str  # of the structure store that was computed
    psi4_version: str
    remedy: str = field(default=REMEDY, repr=False)

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def ok(self) -> np.ndarray:
        """Which rows hold features (n,) bool."""
        return self.status == OK

    def rows(self, scope: str, i: int) -> slice:
        """Return the rows of structure i in the features of a scope: atom, bond, nbo, donation or element."""
        return slice(int(self.offsets[scope][i]), int(self.offsets[scope][i + 1]))

    def atoms(self, i: int) -> slice:
        """Return the rows of structure i in the features by atom."""
        return self.rows("atom", i)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a feature. Raises StoreError saying where to ask for it, where the store does not hold it."""
        if name in self.values:
            return self.values[name]
        path = next(iter(self.digests), "")
        key = f"levels.{Path(path).parent.name}.features" if self.settings.get("level") else "the configuration"
        raise StoreError(
            f"{path}: does not hold feature {name!r}, only {', '.join(self.values)}; "
            f"add {name} to {key} and run: {self.remedy}"
        )


def read_quantum(
    paths: Sequence[str | Path],
    *,
    level: Mapping[str, Any] | None = None,
    structures_digest: str | None = None,
    ids: Sequence[str] | np.ndarray | None = None,
    features: Collection[str] | None = None,
    remedy: str = REMEDY,
) -> QuantumSet:
    """Read all batches of a dataset, in the order of the structure store.

    `level` is the level of theory that is expected, `structures_digest` and `ids` the content digest and the ids of
    the structure store that goes with it; where given they are checked. With `features` only these are kept in memory.
    Raises StoreError naming file, both values and remedy where they differ, where batches differ among themselves, or
    where a structure is missing or stands in two batches.
    """
    if not paths:
        raise StoreError(f"no quantum files were given; make them with: {remedy}")
    stores: list[Store] = []
    for path in paths:
        store = read_store(path, format=FORMAT, version=VERSION, remedy=remedy)
        first = stores[0] if stores else store
        expected = _settings(first, remedy)
        if level is not None:
            expected |= {"level": normalise_level(level), "feature_version": FEATURE_VERSION}
        digest = first.inputs.get("structures", "") if structures_digest is None else structures_digest
        _check(store, expected, digest, remedy)
        stores.append(_keep(store, features))
    result = _join(stores, remedy)
    if ids is not None:
        _check_ids(result, ids, paths[0], remedy)
    return result


def _settings(store: Store, remedy: str) -> dict[str, Any]:
    """Return the settings of a store, its level in one spelling."""
    level = store.settings.get("level")
    try:
        return {**store.settings, "level": normalise_level(level) if level else None}
    except LevelError as error:
        raise StoreError(f"{store.path}: {error}; rebuild it with: {remedy}") from None


def _check(store: Store, expected: Mapping[str, Any], digest: str, remedy: str) -> None:
    """Raise StoreError where settings, input or columns of one batch do not fit."""
    found = _settings(store, remedy)
    features = found.get("features", [])
    scopes = {FEATURES[name].per for name in features if name in FEATURES}
    offsets = [column for scope, column in OFFSETS.items() if scope == "atom" or scope in scopes]
    missing = [name for name in ("index", *_BY_STRUCTURE, *offsets, *features) if name not in store]
    unknown = [name for name in features if name not in FEATURES]
    if missing or unknown:
        what = f"lacks the columns {', '.join(missing)}" if missing else f"holds unknown features {', '.join(unknown)}"
        raise StoreError(f"{store.path}: {what}; rebuild it with: {remedy}")
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
        level = settings.get("level") or {}
        return {"level": "none" if not level else "given", **{f"level {k}": v for k, v in level.items()}, **rest}

    a, b = flat(found), flat(expected)
    differing = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    return ", ".join(
        f"was computed with {key} = {_text(a.get(key))}, expected {_text(b.get(key))}" for key in differing
    )


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else repr(value)


def _check_ids(result: QuantumSet, ids: Sequence[str] | np.ndarray, path: str | Path, remedy: str) -> None:
    """Raise StoreError where the structures are not those of the structure store."""
    names, found = [str(i) for i in ids], [str(i) for i in result.ids]
    if names == found:
        return
    where = next((k for k in range(min(len(names), result.n)) if names[k] != found[k]), None)
    what = (
        f"{result.n} structures, expected {len(names)}"
        if where is None
        else f"structure {found[where]!r} in row {where}, expected {names[where]!r}"
    )
    raise StoreError(f"{path}: its dataset has {what}; rebuild it with: {remedy}")


def _keep(store: Store, features: Collection[str] | None) -> Store:
    """Return the store without the features that nobody asked for."""
    if features is None:
        return store
    kept = {name: c for name, c in store.columns.items() if name not in FEATURES or name in features}
    return replace(store, columns=kept)


def _join(stores: Sequence[Store], remedy: str) -> QuantumSet:
    """Concatenate batches and put rows in the order of the structure store."""
    index = np.concatenate([store["index"] for store in stores])
    _check_cover(index, stores, remedy)
    order = np.argsort(index)
    offsets, by_row = {}, {}
    for scope, column in OFFSETS.items():
        if all(column in store for store in stores):
            offsets[scope], by_row[scope] = _reorder([store[column] for store in stores], order)
    values = {}
    for name in (name for name in FEATURES if name in stores[0]):
        scope = FEATURES[name].per
        parts = [store[name] for store in stores]
        if scope == "system":
            parts = _padded(parts)
        values[name] = np.concatenate(parts)[by_row.get(scope, order)]
    versions = {v for s in stores for v in str(s.attributes.get("psi4_version", "")).split(", ") if v}
    return QuantumSet(
        **{name: np.concatenate([store[name] for store in stores])[order] for name in _BY_STRUCTURE},
        values=values,
        offsets=offsets,
        settings=dict(stores[0].settings),
        digests={str(store.path): store.digest for store in stores},
        structures_digest=stores[0].inputs.get("structures", ""),
        psi4_version=", ".join(sorted(versions)),
        remedy=remedy,
    )


def _check_cover(index: np.ndarray, stores: Sequence[Store], remedy: str) -> None:
    """Raise StoreError where the batches do not hold the rows 0 to n-1 once each."""
    counts = np.bincount(index)  # (n,) where all is well
    if len(counts) == len(index) and (counts == 1).all():
        return
    twice, missing = np.flatnonzero(counts > 1), np.flatnonzero(counts == 0)
    what = f"row {twice[0]} is in {counts[twice[0]]} batches" if len(twice) else f"row {missing[0]} is in no batch"
    files = ", ".join(str(store.path) for store in stores)
    raise StoreError(f"{files}: together they do not cover the structures once: {what}; rebuild them with: {remedy}")


def _reorder(parts: Sequence[np.ndarray], order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets (n+1,) of the structures in `order`, and the rows of the concatenated batches (Σ rows,)."""
    sizes = np.concatenate([np.diff(part) for part in parts])  # (n,)
    starts = (np.cumsum(sizes) - sizes)[order]
    offsets = np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes[order])
    return offsets, rows


def _padded(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return features by system with as many systems as the largest batch has: NaN (0) for what a molecule lacks."""
    most = max(part.shape[1] for part in parts)
    result = []
    for part in parts:
        fill = np.nan if part.dtype.kind == "f" else 0
        whole = np.full((len(part), most, *part.shape[2:]), fill, dtype=part.dtype)
        whole[:, : part.shape[1]] = part
        result.append(whole)
    return result
