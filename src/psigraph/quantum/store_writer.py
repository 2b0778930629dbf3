"""Writes the quantum store of one batch of structures; `store.py` reads it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.model import STATUSES, Result
from psigraph.quantum.table import FEATURES, SCOPES, Feature
from psigraph.stores import Column, write_store

FORMAT = "psigraph-quantum"
VERSION = 2
UNTRACKED = ("wall_time",)
#: Scopes with a varying number of rows per structure, and the columns that say where each structure begins.
OFFSETS: dict[str, str] = {
    "atom": "offsets",
    **{scope: f"{scope}_offsets" for scope in SCOPES if scope not in ("system", "structure", "atom")},
}


def store_settings(level: Mapping[str, Any] | None, names: Sequence[str], program: str = "psi4") -> dict[str, Any]:
    """Return what identifies the content of a store."""
    return {
        "program": program,
        "level": None if level is None else normalise_level(level),
        "feature_version": FEATURE_VERSION,
        "features": list(names),
    }


def write_quantum(
    path: str | Path,
    *,
    ids: Sequence[str],
    index: Sequence[int],
    results: Sequence[Result],
    names: Sequence[str],
    level: Mapping[str, Any] | None,
    structures_digest: str,
    program: str = "psi4",
) -> str:
    """Write the results of one batch and return the content digest.

    `index` is the row of each structure in the structure store, `names` the features every successful result holds.
    Raises ValueError naming structure and feature where one is missing or has another shape.
    """
    names = [name for name in FEATURES if name in set(names)]
    settings = store_settings(level, names, program)
    columns = _columns_by_structure(ids, index, results)
    sizes = {"atom": np.array([r.n_atoms for r in results], dtype=np.int64)}
    for scope in OFFSETS:
        members = [name for name in names if FEATURES[name].per == scope]
        if scope != "atom" and members:
            sizes[scope] = np.array([_rows(i, r, members) for i, r in zip(ids, results, strict=True)], dtype=np.int64)
    for scope, counts in sizes.items():
        text = f"structure i is rows offsets[i] to offsets[i+1]-1 of the columns by {scope}"
        columns[OFFSETS[scope]] = Column(
            np.concatenate([[0], counts.cumsum(dtype=np.int64)]).astype(np.int64), "1", text
        )
    for name in names:
        feature = FEATURES[name]
        text = f"{feature.definition}; by {feature.per}"
        columns[name] = Column(_column(feature, ids, results, sizes.get(feature.per)), feature.unit, text)
    return write_store(
        path,
        format=FORMAT,
        version=VERSION,
        columns=columns,
        settings=settings,
        inputs={"structures": structures_digest},
        attributes={"psi4_version": ", ".join(sorted({r.psi4_version for r in results if r.psi4_version}))},
        untracked=UNTRACKED,
    )


def _columns_by_structure(ids: Sequence[str], index: Sequence[int], results: Sequence[Result]) -> dict[str, Column]:
    def text(values: Collection[str]) -> np.ndarray:
        return np.array([str(v) for v in values], dtype=object)

    origin = np.array([r.origin for r in results], dtype=np.float64).reshape(len(results), 3)
    return {
        "ids": Column(text(ids), "", "unique name of each structure"),
        "index": Column(np.array(index, dtype=np.int64), "1", "row in the structure store"),
        "status": Column(text([r.status for r in results]), "", "one of " + ", ".join(STATUSES)),
        "message": Column(text([r.message for r in results]), "", "why it failed"),
        "attempts": Column(text(["\n".join(r.attempts) for r in results]), "", "one line per SCF attempt"),
        "wall_time": Column(np.array([r.wall_time for r in results], dtype=np.float64), "s", "time of all systems"),
        "origin": Column(origin, "Å", "unweighted centroid of the atoms, which moments refer to"),
        "n_systems": Column(
            np.array([r.n_systems for r in results], dtype=np.uint8), "1", "1: molecule; 3: dimer, A, B"
        ),
    }


def _rows(name: str, result: Result, members: Sequence[str]) -> int:
    """Return how many bonds (or NBOs, ...) a result has; a failed one has none."""
    if not result.ok:
        return 0
    lengths = {member: len(_value(FEATURES[member], name, result)) for member in members}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"structure {name!r}: features by {FEATURES[members[0]].per} have different lengths: {lengths}"
        )
    return next(iter(lengths.values()))


def _value(feature: Feature, name: str, result: Result) -> np.ndarray:
    if feature.name not in result.values:
        raise ValueError(f"structure {name!r}: its result lacks feature {feature.name!r}")
    return np.asarray(result.values[feature.name])


def _column(feature: Feature, ids: Sequence[str], results: Sequence[Result], sizes: np.ndarray | None) -> np.ndarray:
    """Return the values of all structures: NaN (0 for integers) where one failed."""
    dtype = np.dtype(feature.dtype)
    fill = np.nan if dtype.kind == "f" else 0
    n = len(results)
    if sizes is not None:
        lead: tuple[int, ...] = (int(sizes.sum()),)
    elif feature.per == "system":
        lead = (n, max((r.n_systems for r in results), default=1))
    else:
        lead = (n,)
    values = np.full((*lead, *feature.shape), fill, dtype=dtype)
    starts = np.zeros(n, dtype=np.int64) if sizes is None else np.cumsum(sizes) - sizes
    for i, (name, result) in enumerate(zip(ids, results, strict=True)):
        if not result.ok:
            continue
        value = _value(feature, name, result)
        target: Any
        rows: tuple[int, ...]
        if sizes is not None:
            target, rows = slice(starts[i], starts[i] + sizes[i]), (int(sizes[i]),)
        elif feature.per == "system":
            target, rows = (i, slice(0, result.n_systems)), (result.n_systems,)
        else:
            target, rows = i, ()
        if value.shape != (*rows, *feature.shape):
            raise ValueError(
                f"structure {name!r}: feature {feature.name!r} has shape {value.shape}, expected "
                f"{(*rows, *feature.shape)}"
            )
        values[target] = value
    return values
