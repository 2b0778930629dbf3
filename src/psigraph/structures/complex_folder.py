"""A folder, or an archive in it, with a table of complexes.

Columns of the table: `id`, `target`, `ligand_file` (SDF with one record, or mol2), the column that `protein` names
(PDB), and `pK`, or ΔG with its unit in the column's name (`dG_kcal_mol`, `dG_kJ_mol`); where a row has both, pK counts.
Optional: `use` (0 leaves the row out), `measure` (Kd, Ki or IC50), `smiles`, whose heavy atoms must be those of the
ligand's file, and the column that `side` names. Files are named relative to the table.
"""

import logging
import math
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase
from tqdm import tqdm

from psigraph.config import ComplexFolder
from psigraph.structures import reading
from psigraph.structures.complex_rows import ComplexReader, checked_pk, empty_result, measure_of, pk_of_energy
from psigraph.structures.elements import formula
from psigraph.structures.ligands import Ligand, read_ligand
from psigraph.structures.model import Structure
from psigraph.structures.reading import NOT_SELECTED, ReadResult, Row, RowError, Table
from psigraph.structures.sources import StructureError

logger = logging.getLogger(__name__)

_SIDES = {"": "", "train": "train", "val": "validation", "validation": "validation", "test": "test"}


def read(dataset: ComplexFolder) -> ReadResult:
    """Read every row of the table. Raises StructureError for a table or an archive that cannot be used at all."""
    with _unpacked(dataset) as folder:
        path = _table(dataset, folder)
        table = reading.read_table(path)
        table.require("id", "target", "ligand_file", dataset.protein, *dataset.where, *filter(None, [dataset.side]))
        energy = _energy_column(table)
        result, reader = empty_result(), ComplexReader(dataset)
        rows = [(row, _unselected(dataset, row)) for row in table.rows]
        names = [row[dataset.protein] for row, reason in rows if not reason]
        reader.read_ahead((path.parent / name, name) for name in names if name)
        for n, (row, reason) in enumerate(tqdm(rows, desc="complexes", disable=None, mininterval=1.0), start=1):
            try:
                if reason:
                    raise RowError(NOT_SELECTED + reason)
                result.accept(_structure(dataset, reader, path, row, energy), n)
            except ValueError as error:
                result.reject(path.name, n, row["id"], str(error))
        reader.summary()
    return result


@contextmanager
def _unpacked(dataset: ComplexFolder) -> Iterator[Path]:
    """The folder with all files; of an archive a temporary one. Raises StructureError where it cannot be unpacked."""
    if dataset.archive is None:
        yield dataset.path
        return
    archive = dataset.path / dataset.archive
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(archive) as file:
                _unpack(file, Path(folder).resolve())
        except (OSError, EOFError, tarfile.TarError) as error:
            reason = str(error).splitlines()[0].rstrip(":")
            raise StructureError(f"{archive}: cannot be unpacked ({reason}); fetch it again") from error
        yield Path(folder)


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Write the archive's files into the folder. Raises TarError for a name that leads out of it.

    Links are files with the content of what they point to in the archive; devices are left out. (`extractall` is as
    careful from Python 3.11.4 on.)
    """
    for member in archive:
        try:
            content = archive.extractfile(member)
        except KeyError as error:
            raise tarfile.TarError(f"{member.name!r} is a link to what is not in the archive") from error
        if content is None:  # a folder or a device
            continue
        path = (folder / member.name).resolve()
        if not path.is_relative_to(folder):
            raise tarfile.TarError(f"{member.name!r} leads out of the archive")
        path.parent.mkdir(parents=True, exist_ok=True)
        with content, open(path, "wb") as file:
            shutil.copyfileobj(content, file)


def _table(dataset: ComplexFolder, folder: Path) -> Path:
    """The table; in an archive it may lie in a folder."""
    if dataset.archive is None:
        return folder / dataset.table
    found = sorted(folder.rglob(dataset.table))
    if len(found) != 1:
        raise StructureError(
            f"{dataset.path / dataset.archive}: holds {len(found)} files {dataset.table}, expected one"
        )
    return found[0]


def _energy_column(table: Table) -> tuple[str, str] | None:
    """The column of ΔG and its unit. Raises StructureError where there is no label, or its unit is unknown."""
    try:
        column = reading.label_column(table.path, table.columns, "dG", None)
    except StructureError as error:
        raise StructureError(
            f"{str(error).split(';')[0]}; name the column dG_kcal_mol or dG_kJ_mol, or give pK"
        ) from None
    if column is None and "pK" not in table.columns:
        raise StructureError(f"{table.path}: lacks a column 'pK' or 'dG_kcal_mol'; it has {table.columns}")
    return column


def _unselected(dataset: ComplexFolder, row: Row) -> str | None:
    """Why the row is left out by the table or by a setting, or None."""
    if row.get("use", "") == "0":
        return "use is 0"
    return next((f"{k} is {row[k]!r}, not {v!r}" for k, v in dataset.where.items() if row[k] != v), None)


def _structure(
    dataset: ComplexFolder, reader: ComplexReader, table: Path, row: Row, energy: tuple[str, str] | None
) -> Structure:
    """The row's complex. Raises RowError with the reason where there is none."""
    reading.require_complete(row)
    pk = _pk(dataset, row, energy)
    side = row[dataset.side].strip().lower() if dataset.side else ""
    if side not in _SIDES:
        raise RowError(f"{dataset.side} is {side!r}; known: train, validation (or val), test, or empty")
    if not row["target"]:
        raise RowError("target is empty")
    protein = reading.inside(table.parent, row[dataset.protein], dataset.protein)
    file = reading.inside(table.parent, row["ligand_file"], "ligand_file")
    ligand = read_ligand(file, *(file.with_suffix(ending) for ending in (".sdf", ".mol2") if ending != file.suffix))
    _check_smiles(row.get("smiles", ""), ligand)
    return reader.structure(
        row["id"],
        row["target"],
        (protein, row[dataset.protein]),
        ligand,
        pk,
        source=table.name,
        measure=measure_of(row.get("measure", "")),
        side=_SIDES[side],
    )


def _pk(dataset: ComplexFolder, row: Row, energy: tuple[str, str] | None) -> float:
    given = reading.number(row, "pK")
    if not math.isnan(given):
        return checked_pk(given)
    value = reading.energy(row, energy, "kcal/mol", required=True)
    if math.isnan(value):
        raise RowError("pK is empty")
    return pk_of_energy(value, dataset.temperature, energy[0] if energy else "ΔG")


def _check_smiles(smiles: str, ligand: Ligand) -> None:
    """Raise RowError where the table's SMILES has other heavy atoms than the ligand's file."""
    if not smiles:
        return
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise RowError(f"smiles {smiles!r} cannot be read as a molecule; correct it, or leave it empty")
    stated = Counter(atom.GetAtomicNum() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1)
    found = Counter(ligand.z[ligand.z > 1].tolist())
    if stated != found:
        formulas = [formula(np.array(sorted(counts.elements()))) for counts in (found, stated)]
        raise RowError("the ligand's file has the heavy atoms {}, its smiles {}".format(*formulas))
