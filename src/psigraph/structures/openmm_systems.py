"""Posed ligands of eight targets from the package openmmforcefields, which is never imported.

L. Wang et al., J. Am. Chem. Soc. 137, 2695 (2015), doi:10.1021/ja512751q: congeneric series modelled on one crystal
structure for each target. One folder per target, with *_protein.pdb and an SDF of its ligands, whose field
r_user_dG.exp is the experimental ΔG [kcal/mol]. What was measured (Kd, Ki or IC50) is not said.
"""

from pathlib import Path

from psigraph.config import OpenmmForcefields
from psigraph.structures.complex_rows import ComplexReader, empty_result, pk_of_energy
from psigraph.structures.ligands import Record, ligand_of, molecule_of, sdf_records
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.sources import StructureError, openmm_systems_folder

LABEL = "r_user_dG.exp"
#: Names of the targets by their folders; others keep the folder's name.
TARGETS = {
    "bace": "BACE1",
    "cdk2": "CDK2",
    "jnk1": "JNK1",
    "mcl1": "MCL1",
    "p38a": "P38",
    "ptp1b": "PTP1B",
    "thrombin": "Thrombin",
    "tyk2": "TYK2",
}


def read(dataset: OpenmmForcefields) -> ReadResult:
    """Read all ligands, target by target. Raises StructureError where there is no folder, or one lacks a file."""
    result, reader = empty_result(), ComplexReader(dataset)
    folder = openmm_systems_folder(dataset.path)
    proteins = sorted(folder.glob("*/*_protein.pdb"))
    reader.read_ahead((protein, _name(protein)) for protein in proteins)
    for protein in proteins:
        target = TARGETS.get(protein.parent.name, protein.parent.name)
        for path, number, record in _ligands(protein.parent):
            id = f"{target}-{record.title or number}"
            source = f"{protein.parent.name}/{path.name}"
            try:
                structure = _structure(reader, dataset.temperature, id, target, protein, record, source)
                result.accept(structure, number)
            except ValueError as error:
                result.reject(source, number, id, str(error))
    reader.summary()
    return result


def _name(protein: Path) -> str:
    return f"{protein.parent.name}/{protein.name}"


def _ligands(folder: Path) -> list[tuple[Path, int, Record]]:
    """Files, numbers from 1 and records of all SDF with a label; cofactors have none."""
    found = []
    for path in sorted(folder.glob("*.sdf")):
        records = list(sdf_records(path))
        if any(LABEL in record.fields for record in records):
            found += [(path, number, record) for number, record in enumerate(records, start=1)]
    if not found:
        raise StructureError(f"{folder}: holds no SDF with the field {LABEL}; install openmmforcefields again")
    return found


def _structure(
    reader: ComplexReader, temperature: float, id: str, target: str, protein: Path, record: Record, source: str
) -> Structure:
    mol = molecule_of(record.block)
    text = record.fields.get(LABEL, "")
    try:
        energy = float(text)
    except ValueError:
        raise RowError(f"{LABEL} is {text!r}, not a number") from None
    pk = pk_of_energy(energy, temperature, LABEL)
    ligand = ligand_of(mol)
    return reader.structure(id, target, (protein, _name(protein)), ligand, pk, source=source)
