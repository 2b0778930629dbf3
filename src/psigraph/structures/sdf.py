"""One molecule from an MDL molfile or an SDF."""

import math
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from psigraph.structures.model import Structure
from psigraph.structures.reading import RowError


def read_sdf_molecule(path: str | Path, record: str) -> Structure:
    """Read a molecule with all its hydrogens; its charge is the sum of its atoms' formal charges, `v_ref` NaN.

    Of several records in the file `record` names the one, by its title or, where it is a number, by its place from 1.
    Raises RowError naming the file and what is wrong.
    """
    path = Path(path)
    try:
        mol = _record(path, record)
        z = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        _check(mol)
    except (OSError, ValueError) as error:
        raise RowError(f"{path.name}: {error}") from None
    return Structure(
        id=record,
        z=z,
        positions=mol.GetConformer().GetPositions(),
        fragment=np.zeros(len(z)),
        v_ref=math.nan,
        source=path.name,
        charge=(Chem.GetFormalCharge(mol), 0),
    )


def _record(path: Path, record: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        supplier = Chem.SDMolSupplier(str(path), sanitize=False, removeHs=False)
        count = len(supplier)
        if count == 1:
            number = 0
        else:
            number = _place(path, record, count)
        mol = supplier[number]
    if mol is None:
        raise ValueError(f"record {number + 1} cannot be read as a molfile; write it again as V2000 or V3000")
    return mol


def _place(path: Path, record: str, count: int) -> int:
    """Place from 0 of a record: by its title, else by its number."""
    titles = _titles(path)
    places = [n for n, title in enumerate(titles) if title == record]
    if len(places) > 1:
        raise ValueError(f"{len(places)} records are named {record!r}; names in one file must differ")
    if places:
        return places[0]
    if record.isdigit() and 1 <= int(record) <= count:
        return int(record) - 1
    raise ValueError(
        f"none of its {count} records is named {record!r}; write the record's name, or its number from 1, into `id`"
    )


def _titles(path: Path) -> list[str]:
    """First lines of all records."""
    titles, fresh = [], True
    for line in path.read_text(encoding="utf-8").splitlines():
        if fresh:
            titles.append(line.strip())
        fresh = line.startswith("$$$$")
    return titles


def _check(mol: Chem.Mol) -> None:
    """Raise ValueError where the record is no whole molecule in three dimensions."""
    if not mol.GetNumAtoms():
        raise ValueError("the record has no atoms")
    unknown = [atom.GetSymbol() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    if unknown:
        raise ValueError(f"unknown element {unknown[0]!r}; known are the symbols H to Rn")
    if mol.GetNumAtoms() > 1 and not mol.GetConformer().Is3D():
        raise ValueError("the record is a drawing in two dimensions; give its SMILES, or coordinates marked 3D")
    mol.UpdatePropertyCache(strict=False)
    hidden = sum(atom.GetNumImplicitHs() + atom.GetNumExplicitHs() for atom in mol.GetAtoms())
    if hidden:
        raise ValueError(f"{hidden} hydrogens are not written out as atoms; add them with coordinates")
