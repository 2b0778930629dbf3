"""Reads any range of structures from the batches of a dataset, whatever the order in which they stand there."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.quantum.levels import LevelError, normalise_level
from psigraph.quantum.quantum_set import REMEDY, QuantumSet, missing_feature
from psigraph.quantum.store_writer import FORMAT, OFFSETS, VERSION
from psigraph.quantum.table import FEATURES
from psigraph.stores import OpenStore, StoredColumn, StoreError, canonical_json, open_store

_HISTORY = ("attempts", "wall_time")
_BY_STRUCTURE = ("ids", "status", "message", *_HISTORY, "origin", "n_systems")
#: Files that are kept open at the same time.
_MOST_OPEN = 128
#: Two rows of a column that are less apart than this [bytes] are read together with what is between them.
_GAP = 4096

Part = dict[str, np.ndarray]


class QuantumFiles:
    """All batches of a dataset on disk, a context manager. Memory holds where each structure stands: 8 bytes apiece.

    Parameters as in `read_quantum`; `verify` as in `stores.open_store`. Raises StoreError as it says there. Without
    `history`, attempts and wall times are not read.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        *,
        level: Mapping[str, Any] | None = None,
        structures_digest: str | None = None,
        features: Collection[str] | None = None,
        remedy: str = REMEDY,
        history: bool = True,
        verify: bool | Literal["as read"] = "as read",
    ) -> None:
        if not paths:
            raise StoreError(f"no quantum files were given; make them with: {remedy}")
        self.paths, self.remedy = [Path(path) for path in paths], remedy
        self._proving: bool | Literal["as read"] = "as read" if verify == "as read" else False
        self._open: OrderedDict[int, OpenStore] = OrderedDict()
        self._digests: list[str] = []
        self._versions: set[str] = set()
        self._systems = 1
        try:
            self._open_all(level, structures_digest, verify)
        except BaseException:
            self.close()
            raise
        names = [name for name in FEATURES if name in self.settings["features"]]
        self.features = [name for name in names if features is None or name in features]
        scopes = {FEATURES[name].per for name in (names if features is None else self.features)}
        self._columns = [name for name in _BY_STRUCTURE if history or name not in _HISTORY]
        self._scopes = [scope for scope in OFFSETS if scope == "atom" or scope in scopes]

    def _open_all(
        self, level: Mapping[str, Any] | None, structures_digest: str | None, verify: bool | Literal["as read"]
    ) -> None:
        index: list[np.ndarray] = []
        for number in range(len(self.paths)):
            store = self._store(number, verify)
            if number == 0:
                self.settings = dict(store.settings)
                self.structures_digest = store.inputs.get("structures", "")
                reference = _settings(store, self.remedy)
            expected = dict(reference)
            if level is not None:
                expected |= {"level": normalise_level(level), "feature_version": FEATURE_VERSION}
            digest = self.structures_digest if structures_digest is None else structures_digest
            _check(store, expected, digest, self.remedy)
            self._digests.append(store.digest)
            self._versions |= {v for v in str(store.attributes.get("psi4_version", "")).split(", ") if v}
            by_system = next((n for n in expected["features"] if FEATURES[n].per == "system"), None)
            if by_system is not None:
                self._systems = max(self._systems, store.columns[by_system].shape[1])
            index.append(store.columns["index"][:])
        self._place(index)

    def _place(self, index: Sequence[np.ndarray]) -> None:
        """Note the batch and the row in it of every structure. Raises StoreError unless each stands there once."""
        joined = np.concatenate(index)
        _check_cover(joined, self.paths, self.remedy)
        self._batch, self._row = np.empty(len(joined), np.int32), np.empty(len(joined), np.int32)
        for number, rows in enumerate(index):
            self._batch[rows] = number
            self._row[rows] = np.arange(len(rows))

    @property
    def n(self) -> int:
        return len(self._batch)

    @property
    def digests(self) -> dict[str, str]:
        """Content digest of each file."""
        return dict(zip(map(str, self.paths), self._digests, strict=True))

    def check_count(self, n: int) -> None:
        """Raise StoreError unless there are n structures."""
        if n != self.n:
            raise StoreError(
                f"{self.paths[0]}: its dataset has {self.n} structures, expected {n}; rebuild it with: {self.remedy}"
            )

    def check_features(self, names: Collection[str]) -> None:
        """Raise StoreError, saying where to ask for it, unless the files hold all of these features."""
        for name in names:
            if name not in self.features:
                raise missing_feature(name, self.paths[0], self.settings, self.settings["features"], self.remedy)

    def rows(self, first: int, last: int, ids: Sequence[str] | np.ndarray | None = None) -> QuantumSet:
        """Return structures `first` to `last` - 1. Raises StoreError where they have other `ids`, if given."""
        batches = self._batch[first:last]
        parts, order = [], []
        for number in np.unique(batches).tolist() or [0]:
            members = np.flatnonzero(batches == number)
            rows = self._row[first:last][members].astype(np.int64)
            in_file = np.argsort(rows)
            parts.append(self._part(self._store(number, self._proving), rows[in_file]))
            order.append(members[in_file])
        result = self._joined(parts, np.argsort(np.concatenate(order)))
        if ids is not None:
            self._check_ids(result.ids, ids, first)
        return result

    def close(self) -> None:
        for store in self._open.values():
            store.close()
        self._open.clear()

    def __enter__(self) -> "QuantumFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _store(self, number: int, verify: bool | Literal["as read"]) -> OpenStore:
        """Return a file, opened again where too many others were read since. Raises StoreError where it has changed."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        store = open_store(self.paths[number], format=FORMAT, version=VERSION, remedy=self.remedy, verify=verify)
        self._open[number] = store
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        if number < len(self._digests) and store.digest != self._digests[number]:
            raise StoreError(f"{store.path}: was written again while it was being read; start this job again")
        return store

    def _part(self, store: OpenStore, rows: np.ndarray) -> Part:
        """Return some rows (ascending) of one batch; offsets count from the first of them."""
        part = {name: _read(store.columns[name], rows, rows + 1) for name in self._columns}
        ends: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for scope in self._scopes:
            column = store.columns[OFFSETS[scope]]
            ends[scope] = _read(column, rows, rows + 1), _read(column, rows + 1, rows + 2)
            part[OFFSETS[scope]] = np.concatenate([[0], np.cumsum(ends[scope][1] - ends[scope][0])])
        for name in self.features:
            part[name] = _read(store.columns[name], *ends.get(FEATURES[name].per, (rows, rows + 1)))
        return part

    def _joined(self, parts: Sequence[Part], order: np.ndarray) -> QuantumSet:
        """Concatenate parts of batches and put their rows in this order."""
        offsets, by_row = {}, {}
        for scope in self._scopes:
            offsets[scope], by_row[scope] = _reorder([part[OFFSETS[scope]] for part in parts], order)
        values = {}
        for name in self.features:
            scope = FEATURES[name].per
            found = [self._padded(part[name]) if scope == "system" else part[name] for part in parts]
            values[name] = np.concatenate(found)[by_row.get(scope, order)]
        return QuantumSet(
            **{name: np.concatenate([part[name] for part in parts])[order] for name in self._columns},
            values=values,
            offsets=offsets,
            settings=self.settings,
            digests=self.digests,
            structures_digest=self.structures_digest,
            psi4_version=", ".join(sorted(self._versions)),
            remedy=self.remedy,
        )

    def _padded(self, values: np.ndarray) -> np.ndarray:
        """Return a feature by system for as many systems as any batch has: NaN (0) for what a molecule lacks."""
        if values.shape[1] == self._systems:
            return values
        fill = np.nan if values.dtype.kind == "f" else 0
        whole = np.full((len(values), self._systems, *values.shape[2:]), fill, dtype=values.dtype)
        whole[:, : values.shape[1]] = values
        return whole

    def _check_ids(self, found: np.ndarray, ids: Sequence[str] | np.ndarray, first: int) -> None:
        """Raise StoreError where the structures are not those of the structure store."""
        for row, (name, expected) in enumerate(zip(found, ids, strict=True), start=first):
            if str(name) != str(expected):
                raise StoreError(
                    f"{self.paths[0]}: its dataset has structure {str(name)!r} in row {row}, expected "
                    f"{str(expected)!r}; rebuild it with: {self.remedy}"
                )


def _read(column: StoredColumn, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Return rows starts[i] to stops[i]-1 of a column, ranges that ascend without overlapping, one after another.

    What is close together is read at once, so that memory stays within a few times what is asked for.
    """
    if not len(starts):
        return column[0:0]
    width = max(1, column.dtype.itemsize * int(np.prod(column.shape[1:])))
    cuts = np.flatnonzero(starts[1:] - stops[:-1] > _GAP // width) + 1
    pieces = []
    for a, b in zip([0, *cuts.tolist()], [*cuts.tolist(), len(starts)], strict=True):
        piece = column[int(starts[a]) : int(stops[b - 1])]
        sizes = stops[a:b] - starts[a:b]
        if sizes.sum() < len(piece):
            first = np.cumsum(sizes) - sizes
            piece = piece[np.arange(sizes.sum()) + np.repeat(starts[a:b] - starts[a] - first, sizes)]
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _settings(store: OpenStore, remedy: str) -> dict[str, Any]:
    """Return the settings of a store, its level in one spelling."""
    level = store.settings.get("level")
    try:
        return {**store.settings, "level": normalise_level(level) if level else None}
    except LevelError as error:
        raise StoreError(f"{store.path}: {error}; rebuild it with: {remedy}") from None


def _check(store: OpenStore, expected: Mapping[str, Any], digest: str, remedy: str) -> None:
    """Raise StoreError where settings, input or columns of one batch do not fit."""
    found = _settings(store, remedy)
    features = found.get("features", [])
    scopes = {FEATURES[name].per for name in features if name in FEATURES}
    offsets = [column for scope, column in OFFSETS.items() if scope == "atom" or scope in scopes]
    missing = [name for name in ("index", *_BY_STRUCTURE, *offsets, *features) if name not in store.columns]
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


def _check_cover(index: np.ndarray, paths: Sequence[Path], remedy: str) -> None:
    """Raise StoreError where the batches do not hold the rows 0 to n-1 once each."""
    counts = np.bincount(index)  # (n,) where all is well
    if len(counts) == len(index) and (counts == 1).all():
        return
    twice, missing = np.flatnonzero(counts > 1), np.flatnonzero(counts == 0)
    what = f"row {twice[0]} is in {counts[twice[0]]} batches" if len(twice) else f"row {missing[0]} is in no batch"
    files = ", ".join(str(path) for path in paths)
    raise StoreError(f"{files}: together they do not cover the structures once: {what}; rebuild them with: {remedy}")


def _reorder(parts: Sequence[np.ndarray], order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets (n+1,) of the structures in `order`, and the rows of the concatenated batches (Σ rows,)."""
    sizes = np.concatenate([np.diff(part) for part in parts])  # (n,)
    starts = (np.cumsum(sizes) - sizes)[order]
    offsets = np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int64)
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes[order])
    return offsets, rows
