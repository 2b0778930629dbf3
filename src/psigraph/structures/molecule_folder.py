"""A folder with a table of molecules and their properties.

Columns of the table: `id`; `file` (XYZ or SDF, relative to the folder) or `smiles`; one per configured property, empty
where a value is not known; optionally `charge`, `multiplicity` and `group`. Of an SDF with several records the row's id
is the name of its record, or its number from 1. SMILES become conformers (`conformers.py`), all with the row's labels.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from psigraph.config import MoleculeFolder
from psigraph.config.datasets import RESERVED_COLUMNS
from psigraph.structures import embedding, reading
from psigraph.structures.identity import scaffold_of
from psigraph.structures.model import Label, Structure
from psigraph.structures.reading import ReadResult, Row, RowError
from psigraph.structures.sdf import read_sdf_molecule
from psigraph.structures.sources import StructureError
from psigraph.structures.xyz import read_xyz_molecule

logger = logging.getLogger(__name__)

#: Unit of `v_ref`, which molecules do not have.
UNIT = "hartree"
_READERS = {".xyz": read_xyz_molecule, ".sdf": read_sdf_molecule, ".mol": read_sdf_molecule}


def read(dataset: MoleculeFolder) -> ReadResult:
    """Read every row of the table. Raises StructureError for a table that cannot be used at all."""
    path = dataset.path / dataset.table
    table = reading.read_table(path)
    table.require("id", *dataset.properties)
    if not {"file", "smiles"} & set(table.columns):
        raise StructureError(f"{path}: lacks a column 'file' or 'smiles'; it has {table.columns}")
    known = {*RESERVED_COLUMNS, *dataset.properties}
    ignored = [column for column in table.columns if column not in known]
    if ignored:
        logger.warning("%s: columns that are not used: %s", path, ", ".join(ignored))
    specs = tuple(Label(name, p.unit, p.extensive, p.relative) for name, p in dataset.properties.items())
    result = ReadResult(UNIT, label_specs=specs)
    for n, row in enumerate(tqdm(table.rows, desc="molecules", disable=None, mininterval=1.0), start=1):
        try:
            for structure in _read_row(dataset, row, path.name):
                result.accept(structure, n)
        except ValueError as error:
            result.reject(path.name, n, row["id"], str(error))
    return result


def _read_row(dataset: MoleculeFolder, row: Row, source: str) -> list[Structure]:
    """The row's molecule, or its conformers. Raises RowError with the reason where there is none."""
    reading.require_complete(row)
    labels = np.array([reading.number(row, name) for name in dataset.properties])  # first: embedding takes time
    scaffold = scaffold_of(row.get("smiles", ""))
    structures = [
        replace(structure, id=name, system=scaffold, labels=labels, source=source, group=row.get("group", ""))
        for name, structure in _geometries(dataset, row)
    ]
    for structure in structures:
        _apply(structure, row)
    return structures


def _geometries(dataset: MoleculeFolder, row: Row) -> list[tuple[str, Structure]]:
    """Names and geometries of a row."""
    file, smiles = row.get("file", ""), row.get("smiles", "")
    if bool(file) == bool(smiles):
        raise RowError("both file and smiles are given; leave one empty" if file else "file and smiles are empty")
    if file:
        path = reading.inside(dataset.path, file, "file")
        if path.suffix.lower() not in _READERS:
            raise RowError(f"file {file!r}: unknown ending {path.suffix!r}; known: {', '.join(_READERS)}")
        return [(row["id"], _READERS[path.suffix.lower()](path, row["id"]))]
    found = embedding.conformers(smiles, dataset.conformers, relax=dataset.relax, seed=dataset.seed)
    if len(found) == dataset.conformers == 1:
        return [(row["id"], found[0])]
    return [(f"{row['id']}-{k}", structure) for k, structure in enumerate(found)]


def _apply(structure: Structure, row: Row) -> None:
    """Take over the row's charge and multiplicity. Raises RowError where its charge is not that of the structure."""
    charge = reading.integer(row, "charge", structure.charge[0])
    stated = row.get("smiles") or Path(row["file"]).suffix.lower() != ".xyz" or structure.charge[0]
    if stated and charge != structure.charge[0]:
        raise RowError(f"charge is {charge:+d}, the structure's own is {structure.charge[0]:+d}; make them agree")
    structure.charge = charge, 0
    structure.multiplicity = reading.integer(row, "multiplicity", structure.multiplicity[0]), 1
