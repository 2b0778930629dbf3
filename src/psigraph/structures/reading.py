"""What every reader shares: the result, rejected rows, label columns with units, numbers, charges."""

import csv
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from psigraph.structures.model import Label, Structure
from psigraph.structures.sources import StructureError
from psigraph.units import ENERGY_UNITS, energy_factor

#: How the reason of a row begins that was left out by a setting, and of one that repeats another.
NOT_SELECTED = "not selected: "
IDENTICAL = "identical geometry to "
IDENTICAL_LIGAND = "identical ligand and protein as "
#: What follows it in a reason is of the row's own atoms.
OWN = ": its "
REJECTED_COLUMNS = ("source", "row", "id", "reason")


class RowError(ValueError):
    """One row of a dataset cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Rejection:
    """A row that does not go on, and why. `row` counts data rows from 1 in its source, or names the record."""

    source: str
    row: str
    id: str
    reason: str

    @property
    def kind(self) -> str:
        """`not selected` (a setting left it out), `identical` (a repeated geometry or ligand) or `unreadable`."""
        if self.reason.startswith(NOT_SELECTED):
            return "not selected"
        return "identical" if self.reason.startswith((IDENTICAL, IDENTICAL_LIGAND)) else "unreadable"

    @property
    def summary(self) -> str:
        """The reason without what is of this row alone, to count rows by."""
        for beginning in (IDENTICAL, IDENTICAL_LIGAND):
            if self.reason.startswith(beginning):
                return f"{beginning}another one"
        return self.reason.partition(OWN)[0]


@dataclass
class ReadResult:
    """What a reader found: structures, rows it could not read, the unit of `v_ref`, names and units of labels."""

    unit: str
    structures: list[Structure] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)  # row of each structure in its source
    rejected: list[Rejection] = field(default_factory=list)
    label_specs: tuple[Label, ...] = ()

    def accept(self, structure: Structure, row: str | int) -> None:
        self.structures.append(structure)
        self.rows.append(str(row))

    def reject(self, source: str, row: str | int, id: str, reason: str) -> None:
        self.rejected.append(Rejection(source, str(row), id, reason))


def write_rejected(path: Path, rejected: Iterable[Rejection]) -> None:
    """Write rejected.csv: source, row, id, reason."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(REJECTED_COLUMNS)
        writer.writerows((r.source, r.row, r.id, r.reason) for r in rejected)


def read_rejected(path: str | Path) -> list[Rejection]:
    """Read rejected.csv."""
    with open(path, newline="", encoding="utf-8") as handle:
        return [Rejection(**row) for row in csv.DictReader(handle)]


def count_kinds(rejected: Iterable[Rejection]) -> dict[str, int]:
    """Return the number of rows by kind: `unreadable`, `not selected`, `identical`."""
    counts = Counter(r.kind for r in rejected)
    return {kind: counts.get(kind, 0) for kind in ("unreadable", "not selected", "identical")}


#: One row of a table: cells as text by column name; missing cells are empty.
Row = Mapping[str, str]
_EXTRA = "\0extra"  # key of the number of cells in a row that has more than the header


@dataclass(frozen=True)
class Table:
    """A table of text cells."""

    path: Path
    columns: list[str]
    rows: list[Row]

    def require(self, *names: str) -> None:
        """Raise StructureError naming the file and the columns it lacks."""
        missing = [n for n in names if n not in self.columns]
        if missing:
            raise StructureError(
                f"{self.path}: lacks the column {', '.join(map(repr, missing))}; it has {self.columns}"
            )


def read_table(path: Path) -> Table:
    """Read a .csv or .xlsx table, every cell as text without outer blanks; empty rows are skipped.

    Raises StructureError naming the file where it is missing, no such table, or has a column name twice.
    """
    if not path.is_file():
        raise StructureError(f"{path}: no such file")
    excel = path.suffix.lower() == ".xlsx"
    try:
        lines = [[_cell(c) for c in line] for line in (_excel(path) if excel else _csv(path))]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError, ValueError, csv.Error) as error:
        hint = "save it as an Excel workbook (.xlsx) or as .csv" if excel else "save it as CSV in UTF-8"
        raise StructureError(f"{path}: cannot be read as {path.suffix[1:]} ({error}); {hint}") from error
    lines = [line for line in lines if any(line)]
    if not lines:
        raise StructureError(f"{path}: is empty")
    columns = [c for c in lines[0] if c]
    if lines[0][: len(columns)] != columns or len(set(columns)) < len(columns):
        raise StructureError(f"{path}: the header {lines[0]} has an empty or repeated column name")
    rows: list[Row] = []
    for line in lines[1:]:
        row = dict.fromkeys(columns, "") | dict(zip(columns, line, strict=False))
        if any(line[len(columns) :]):
            row[_EXTRA] = str(len(line))
        rows.append(row)
    return Table(path, columns, rows)


def _csv(path: Path) -> list[list[Any]]:
    with open(path, newline="", encoding="utf-8-sig") as handle:
        return list(csv.reader(handle))


def _excel(path: Path) -> list[list[Any]]:
    workbook = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        return [list(line) for line in workbook.worksheets[0].iter_rows(values_only=True)]
    finally:
        workbook.close()


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def require_complete(row: Row) -> None:
    """Raise RowError where the row has more cells than the header."""
    if _EXTRA in row:
        raise RowError(f"the row has {row[_EXTRA]} cells, more than the header's {len(row) - 1}")


def label_column(path: Path, columns: Sequence[str], name: str, configured: str | None) -> tuple[str, str] | None:
    """Find the column of an energy and its unit: `(column, unit)`, or None where there is no such column.

    Accepted spellings for `Vref`: `Vref`, `V_ref`, `Vref_meV`, `Vref [kcal/mol]`, `Vref (eV)`, `Vref_kcal_mol`. Raises
    StructureError where the unit is unknown, missing in both places, or differs from the configured one.
    """
    pattern = re.compile(rf"^{name[0]}_?{name[1:]}(?![A-Za-z0-9])[\s_]*(?P<unit>.*)$")
    found = [(c, m["unit"]) for c in columns if (m := pattern.match(c))]
    if not found:
        return None
    if len(found) > 1:
        raise StructureError(f"{path}: several columns give {name}: {[c for c, _ in found]}; keep one")
    column, text = found[0]
    stated = text.strip(" []()").replace("_per_", "/").replace("kcal_mol", "kcal/mol").replace("kJ_mol", "kJ/mol")
    known = ", ".join(ENERGY_UNITS)
    if stated and stated not in ENERGY_UNITS:
        raise StructureError(f"{path}: column {column!r} is in the unknown unit {stated!r}; known units: {known}")
    if stated and configured and stated != configured:
        raise StructureError(
            f"{path}: column {column!r} says {stated!r} and the configuration `unit: {configured}`; make them agree"
        )
    unit = stated or configured
    if not unit:
        raise StructureError(
            f"{path}: no unit for column {column!r}; write it into the name (for example {column}_meV) or set `unit` "
            f"in the dataset's configuration; known units: {known}"
        )
    return column, unit


def number(row: Row, column: str, *, required: bool = False) -> float:
    """Return a cell as a finite number; NaN where the cell or column is empty and not required. Raises RowError."""
    text = row.get(column, "")
    if text == "":
        if required:
            raise RowError(f"{column} is empty")
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise RowError(f"{column} is {text!r}, not a number") from None
    if not math.isfinite(value):
        raise RowError(f"{column} is {text!r}, not a finite number")
    return value


def integer(row: Row, column: str, default: int) -> int:
    """Return a cell as a whole number; `default` where the cell or column is empty. Raises RowError."""
    value = number(row, column)
    if math.isnan(value):
        return default
    if value != int(value):
        raise RowError(f"{column} is {row[column]!r}, not a whole number")
    return int(value)


def energy(row: Row, column: tuple[str, str] | None, unit: str, *, required: bool = False) -> float:
    """Return an energy in `unit` from a column found by `label_column`; NaN where there is no such column."""
    if column is None:
        return math.nan
    return number(row, column[0], required=required) * energy_factor(column[1], unit)


def pair(text: str, what: str) -> tuple[int, int]:
    """Return `a,b` as two integers. Raises RowError naming `what`."""
    try:
        a, b = (int(t) for t in text.split(","))
    except ValueError:
        raise RowError(f"{what} is {text!r}; expected two whole numbers for A and B, for example 0,0") from None
    return a, b


def inside(folder: Path, name: str, what: str) -> Path:
    """Return `folder/name`. Raises RowError where the name is empty or no file is there."""
    if not name:
        raise RowError(f"{what} is empty")
    path = folder / name
    if not path.is_file():
        raise RowError(f"{what}: no file {name!r} in the dataset's folder")
    return path
