"""New complexes to predict: one protein and the ligands posed in it."""

import math
from collections.abc import Sequence
from pathlib import Path

from psigraph.config import ComplexDataset
from psigraph.structures.checks import check
from psigraph.structures.complex_rows import ComplexReader, empty_result
from psigraph.structures.ligands import Ligand, ligand_of, molecule_of, read_ligand, sdf_records
from psigraph.structures.reading import ReadResult


def read_posed_ligands(protein: Path, ligands: Sequence[Path], dataset: ComplexDataset) -> ReadResult:
    """Read the ligands of SDF files, all records, and of mol2 files, as complexes with one protein (PDB).

    An id is the record's title, else the file's name and the record's number from 1; pK is NaN. Of `dataset` the
    protein's preparation and the limits of poses count. What cannot be read is rejected with its reason.
    """
    result, reader = empty_result(), ComplexReader(dataset)
    for path in ligands:
        try:
            entries = _entries(path)
        except ValueError as error:
            result.reject(path.name, 1, path.stem, str(error))
            continue
        for number, (id, block) in enumerate(entries, start=1):
            try:
                ligand: Ligand = read_ligand(path) if block is None else ligand_of(molecule_of(block))
                complex = (protein, protein.name)
                structure = reader.structure(id, protein.stem, complex, ligand, math.nan, source=path.name)
                result.accept(structure, number)
            except ValueError as error:
                result.reject(path.name, number, id, str(error))
    reader.summary()
    return check(result, molecules=True)


def _entries(path: Path) -> list[tuple[str, str | None]]:
    """Id and molfile text of each ligand of a file; no text of a mol2 file, which holds one."""
    if path.suffix.lower() == ".mol2":
        return [(path.stem, None)]
    return [(record.title or f"{path.stem}-{n}", record.block) for n, record in enumerate(sdf_records(path), start=1)]
