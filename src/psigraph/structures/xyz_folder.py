"""A folder of XYZ files with labels.csv.

Columns of labels.csv: `file` (name of an XYZ file) or `id` (its name without .xyz), or both; `Vref` with its unit in
the name or in the configuration; optionally `V0` and `fragment_a`. A row's own `fragment_a` wins over the configured.
"""

from pathlib import Path

from psigraph.config import XyzFolder
from psigraph.structures import reading
from psigraph.structures.checks import check
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult, Row, RowError
from psigraph.structures.sources import StructureError
from psigraph.structures.xyz import read_xyz_dimer

LABELS = "labels.csv"


def read(dataset: XyzFolder) -> ReadResult:
    """Read a folder with labels. Raises StructureError for a table that cannot be used at all."""
    path = dataset.path / LABELS
    table = reading.read_table(path)
    if not {"file", "id"} & set(table.columns):
        raise StructureError(f"{path}: lacks a column 'file' or 'id'; it has {table.columns}")
    v_ref = reading.label_column(path, table.columns, "Vref", dataset.unit)
    if v_ref is None:
        raise StructureError(f"{path}: lacks the column 'Vref'; it has {table.columns}")
    v_0 = reading.label_column(path, table.columns, "V0", dataset.unit)
    result = ReadResult(v_ref[1])
    for n, row in enumerate(table.rows, start=1):
        name = row.get("id") or row.get("file", "")
        try:
            structure = _read_row(dataset, row)
            structure.v_ref = reading.energy(row, v_ref, result.unit, required=True)
            structure.v_0 = reading.energy(row, v_0, result.unit)
            result.accept(structure, n)
        except ValueError as error:
            result.reject(LABELS, n, name, str(error))
    return result


def read_xyz_folder(folder: str | Path, fragment_a: str | None = None) -> ReadResult:
    """Read and check every .xyz file of a folder, without labels: `v_ref` is NaN. The unit of the result is empty.

    Raises StructureError where the folder holds no .xyz file.
    """
    files = sorted(Path(folder).glob("*.xyz"))
    if not files:
        raise StructureError(f"{folder}: holds no .xyz file")
    result = ReadResult("")
    for n, file in enumerate(files, start=1):
        try:
            result.accept(read_xyz_dimer(file, fragment_a), n)
        except RowError as error:
            result.reject(Path(folder).name, n, file.stem, str(error))
    return check(result, labels=False)


def _read_row(dataset: XyzFolder, row: Row) -> Structure:
    reading.require_complete(row)
    name = row.get("file") or (f"{row['id']}.xyz" if row.get("id") else "")
    file = reading.inside(dataset.path, name, "file")
    structure = read_xyz_dimer(file, row.get("fragment_a") or dataset.fragment_a)
    identifier = row.get("id") or structure.id
    structure.id = structure.system = identifier
    structure.source = LABELS
    return structure
