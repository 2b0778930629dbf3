"""Molecules of QM9 from the tables of the package qm9pack, which are read directly: the package is never imported.

R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, Sci. Data 1, 140022 (2014), doi:10.1038/sdata.2014.22. The
package leaves out the 3,054 molecules that its authors found to have changed during relaxation. All are neutral
closed shells. `v_ref` is NaN: QM9's labels (`qm9_labels.py`) are properties of molecules, not interaction energies.
"""

import csv
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from psigraph.structures.elements import number_of
from psigraph.structures.identity import scaffold_of
from psigraph.structures.model import Structure
from psigraph.structures.qm9_labels import COLUMNS, LABELS, Column, labels_of
from psigraph.structures.reading import NOT_SELECTED, ReadResult, RowError
from psigraph.structures.selection import spread
from psigraph.structures.sources import QM9_PARTS, StructureError, qm9_folder

UNIT = "hartree"
#: Columns that are read beside the labels: name of the molecule's file, SMILES, symbols, coordinates [Å].
_NAME, _SMILES, _ELEMENTS, _POSITIONS = "XYZ_file", "SMILES", "Elements", "XYZ_Ang"
_READ = (_NAME, _SMILES, _ELEMENTS, _POSITIONS, *(column.column for column in COLUMNS))


@dataclass(frozen=True)
class _Row:
    """One molecule as text."""

    source: str
    number: int  # from 1 in its file
    id: str
    smiles: str
    symbols: tuple[str, ...]
    positions: str
    labels: list[str]

    @property
    def heavy_atoms(self) -> int:
        return sum(symbol != "H" for symbol in self.symbols)


def read(dataset: Any) -> ReadResult:
    """Read the molecules within the limits of heavy atoms; of more than `max_structures` evenly spread ones.

    `dataset` has path, min_heavy_atoms, max_heavy_atoms and max_structures. What is not taken is rejected as not
    selected, before its coordinates are read. Raises StructureError where there are no tables or columns are missing.
    """
    result = ReadResult(UNIT, label_specs=LABELS)
    folder, limit, place = qm9_folder(dataset.path), dataset.max_structures, -1
    taken = None if limit is None else _spread_rows(folder, dataset, limit)
    for row in tqdm(_rows(folder), desc="QM9", unit="molecules", disable=None, mininterval=1.0):
        reason = _outside(row.heavy_atoms, dataset.min_heavy_atoms, dataset.max_heavy_atoms)
        place += reason is None
        if reason is None and taken is not None and place not in taken:
            reason = f"beyond max_structures {limit}"
        if reason:
            result.reject(row.source, row.number, row.id, NOT_SELECTED + reason)
            continue
        try:
            result.accept(_structure(row), row.number)
        except ValueError as error:
            result.reject(row.source, row.number, row.id, str(error))
    return result


def _spread_rows(folder: Path, dataset: Any, limit: int) -> set[int]:
    """Which of the molecules within the limits of heavy atoms are taken: `limit` of them, evenly spread."""
    limits = dataset.min_heavy_atoms, dataset.max_heavy_atoms
    return set(spread(sum(_outside(row.heavy_atoms, *limits) is None for row in _rows(folder)), limit))


def _outside(heavy: int, smallest: int, largest: int | None) -> str | None:
    if heavy < smallest:
        return f"fewer heavy atoms than min_heavy_atoms {smallest}"
    if largest is not None and heavy > largest:
        return f"more heavy atoms than max_heavy_atoms {largest}"
    return None


def _rows(folder: Path) -> Iterator[_Row]:
    """Yield the molecules of all tables, in the order of the files' names."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    for path in sorted(folder.glob(QM9_PARTS)):
        with open(path, newline="", encoding="utf-8") as handle:
            table = csv.reader(handle)
            header = next(table, [])
            missing = [column for column in _READ if column not in header]
            if missing:
                raise StructureError(f"{path}: lacks the columns {', '.join(missing)}; install qm9pack again")
            name, smiles, elements, positions, *labels = (header.index(column) for column in _READ)
            for number, cells in enumerate(table, start=1):
                cells += [""] * (len(header) - len(cells))  # a cut line is unreadable, not unknown
                symbols = tuple(cells[elements].strip("[]").replace("'", "").replace(" ", "").split(","))
                identifier = cells[name].removesuffix(".xyz")
                texts = cells[smiles], symbols, cells[positions], [cells[n] for n in labels]
                yield _Row(path.name, number, identifier, *texts)


def _structure(row: _Row) -> Structure:
    """Raises ValueError for what is no symbol or number, or where their counts differ."""
    z = np.array([number_of(symbol) for symbol in row.symbols])
    words = row.positions.replace("[", "").replace("]", "").split(",")
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise RowError(f"{_POSITIONS} is {row.positions[:60]!r}, not a list of coordinates") from None
    if len(numbers) != 3 * len(z):
        raise RowError(f"{len(z)} elements and {len(numbers)} coordinates do not go together")
    return Structure(
        id=row.id,
        z=z,
        positions=numbers.reshape(-1, 3),
        fragment=np.zeros(len(z)),
        v_ref=math.nan,
        system=scaffold_of(row.smiles),
        source="qm9",
        labels=labels_of(z, np.array([_number(*label) for label in zip(COLUMNS, row.labels, strict=True)])),
    )


def _number(column: Column, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RowError(f"{column.column} is {text!r}, not a number") from None
