"""`datasets`: named sources of structures."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from psigraph.config.base import Section, did_you_mean
from psigraph.units import ENERGY_UNITS

EnergyUnit = Literal["kcal/mol", "kJ/mol", "eV", "meV", "hartree"]
if set(get_args(EnergyUnit)) != set(ENERGY_UNITS):
    raise AssertionError("EnergyUnit and units.ENERGY_UNITS list different units")

#: Databases of psi4-data that carry real reference interaction energies.
DATABASES = ("A24", "BBI", "HBC6", "JSCH", "NBC10", "RGC10", "S22by5", "S66by8", "SSI")


#: Keys of a dataset that say what the job that reads it is given; they change nothing of what comes out.
JOB_KEYS = frozenset({"threads", "memory_mb", "runtime_min"})


class DatasetBase(Section):
    batches: int = Field(8, ge=1, description="number of Psi4 jobs the dataset is divided into")
    max_per_group: int | None = Field(
        None, ge=1, description="keep at most so many structures of a group, evenly spread"
    )
    max_structures: int | None = Field(None, ge=1, description="keep at most so many structures, spread over groups")
    max_rejected: float = Field(0.5, ge=0, le=1, description="stop where a larger share of the rows is unreadable")
    memory_mb: int = Field(2000, ge=500, description="memory of the job that reads it [MB]")
    runtime_min: int = Field(60, ge=1, description="time limit of that job on a cluster [min]")


class Psi4Databases(DatasetBase):
    """Dimers with reference interaction energies from the benchmark databases of Debian's psi4-data."""

    source: Literal["psi4_databases"]
    databases: list[str] = Field(min_length=1, description=f"any of {', '.join(DATABASES)}")
    min_atoms: int = Field(2, ge=2, description="smallest dimer, in atoms")
    max_atoms: int | None = Field(None, ge=2, description="largest dimer, in atoms")
    neutral_closed_shell: bool = Field(False, description="keep only dimers of two neutral singlets")
    exclude_elements: list[str] = Field([], description="leave out dimers that contain one of these elements")

    @field_validator("databases")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in DATABASES:
                raise ValueError(
                    f"unknown database {name!r}{did_you_mean(name, DATABASES)}; known: {', '.join(DATABASES)}"
                )
        return names


class RawFolder(DatasetBase):
    """A folder with meta.xlsx or meta.csv, pairs of PDB files and optionally one NPZ per dimer."""

    source: Literal["raw_folder"]
    path: Path = Field(description="the folder")
    placement: Literal["stacked", "as_given"] = Field(
        description="stacked: each monomer centred, B moved along +z by R; as_given: positions as they are"
    )
    unit: EnergyUnit | None = Field(None, description="unit of V0 and Vref, where the column names do not say it")


class XyzFolder(DatasetBase):
    """A folder of XYZ files with labels.csv."""

    source: Literal["xyz_folder"]
    path: Path = Field(description="the folder")
    unit: EnergyUnit | None = Field(None, description="unit of Vref, where the column name does not say it")
    fragment_a: str | None = Field(
        None, description="atoms of fragment A as 1-based ranges, for example 1-6,9; default: connected components"
    )


class Qm9(DatasetBase):
    """Molecules of QM9 (R. Ramakrishnan et al., Sci. Data 1, 140022, 2014) from the package qm9pack."""

    source: Literal["qm9"]
    path: Path | None = Field(None, description="folder with qm9_part1.csv, ...; default: that of qm9pack")
    min_heavy_atoms: int = Field(1, ge=1, description="smallest molecule, in atoms that are not hydrogen")
    max_heavy_atoms: int | None = Field(None, ge=1, description="largest molecule, in atoms that are not hydrogen")


class ExcitonPairs(DatasetBase):
    """Chromophore pairs with exciton couplings: pairs.csv.gz and geom.npz; the target is |J_exc| [meV]."""

    source: Literal["exciton_pairs"]
    path: Path = Field(description="the folder")


class Property(Section):
    """A property of molecules in a table."""

    unit: str = Field(description="its unit, as reports show it; `1` for none")
    extensive: bool = Field(False, description="whether it grows with the molecule, as an energy does")
    relative: bool = Field(False, description="whether only differences between structures of one molecule count")


#: Columns of a table of molecules that say what the molecule is.
RESERVED_COLUMNS = ("id", "file", "smiles", "charge", "multiplicity", "group")


class MoleculeFolder(DatasetBase):
    """A folder with a table of molecules and their properties; structures as XYZ or SDF files or as SMILES."""

    source: Literal["molecule_folder"]
    path: Path = Field(description="the folder")
    table: str = Field(
        "molecules.csv", description="file in the folder with the columns id, file or smiles, and labels"
    )
    properties: dict[str, Property] = Field(min_length=1, description="the table's columns that are labels")
    conformers: int = Field(1, ge=1, description="conformers of each SMILES; of one molecule, so of one group")
    relax: Literal["none", "mmff", "openmm"] = Field(
        "mmff", description="relaxation of conformers made from SMILES: MMFF94 by RDKit or in OpenMM, or none"
    )
    seed: int = Field(0, ge=0, description="draws the conformers")

    @field_validator("table")
    @classmethod
    def _a_table_in_the_folder(cls, name: str) -> str:
        if Path(name).is_absolute() or ".." in Path(name).parts or Path(name).suffix.lower() not in (".csv", ".xlsx"):
            raise ValueError(f"{name!r} is no .csv or .xlsx file in the folder")
        return name

    @field_validator("properties")
    @classmethod
    def _not_reserved(cls, properties: dict[str, Property]) -> dict[str, Property]:
        for name in properties:
            if name in RESERVED_COLUMNS:
                raise ValueError(f"the column {name!r} is no label; give the property another name in the table")
        return properties


class Conformers(DatasetBase):
    """Conformers of molecules with quantum labels: index.csv.gz and geom.npz (doi:10.1002/qua.26381)."""

    source: Literal["conformers"]
    path: Path = Field(description="the folder")
    energy: str = Field("E_dlpno_ccsdt", description="column of the total energy [hartree]")
    neutral: bool = Field(False, description="leave out molecules with a charge")


class ComplexDataset(DatasetBase):
    """What all sources of complexes of a protein and a ligand share."""

    prepare: Literal["as_is", "fix", "minimise"] = Field(
        "fix",
        description="proteins as_is: as in the file; fix: missing atoms and hydrogens are added (PDBFixer); minimise: "
        "relaxed under restraints, too (OpenMM)",
    )
    ph: float = Field(7.0, ge=0, le=14, description="pH of the hydrogens that are added, where the file says nothing")
    min_contact: float = Field(1.5, ge=0, description="a ligand nearer to its protein than this clashes [Å]")
    max_distance: float = Field(
        5.0, gt=0, description="a ligand whose nearest atom of the protein is farther is outside the pocket [Å]"
    )
    threads: int = Field(1, ge=1, description="processes that prepare proteins")


class EnergyDataset(ComplexDataset):
    """Complexes whose label is a binding free energy, or may be."""

    temperature: float = Field(298.15, gt=0, description="of pK = -ΔG/(RT ln 10), where a source gives ΔG [K]")


class OpenmmForcefields(EnergyDataset):
    """Posed ligands of eight targets (doi:10.1021/ja512751q) from the package openmmforcefields."""

    source: Literal["openmmforcefields"]
    path: Path | None = Field(None, description="folder with one folder per target; default: that of the package")


class ComplexFolder(EnergyDataset):
    """A folder, or an archive in it, with a table of complexes, proteins as PDB and ligands as SDF or mol2."""

    source: Literal["complex_folder"]
    path: Path = Field(description="the folder")
    archive: str | None = Field(None, description="a .tar, .tar.gz or .tar.xz in the folder that holds everything")
    table: str = Field("complexes.csv", description="file with the columns id, target, ligand_file, pK or dG_UNIT")
    protein: str = Field("protein_file", description="column with the protein's file")
    where: dict[str, str] = Field({}, description="keep the rows that have these values in these columns")
    side: str | None = Field(None, description="column with train, validation (or val) or test; empty: none")

    @field_validator("archive", "table")
    @classmethod
    def _in_the_folder(cls, name: str | None) -> str | None:
        if name is not None and (Path(name).is_absolute() or ".." in Path(name).parts):
            raise ValueError(f"{name!r} is no file in the folder")
        return name


class Pdbbind(ComplexDataset):
    """The layout of PDBbind and CASF, for who holds their licence: an index and a folder for each complex."""

    source: Literal["pdbbind"]
    threads: int = Field(8, ge=1, description="processes that prepare proteins; all of PDBbind has 20,000")
    memory_mb: int = Field(16000, ge=500, description="memory of the job that reads it [MB]")
    runtime_min: int = Field(1440, ge=1, description="time limit of that job on a cluster [min]")
    path: Path = Field(description="folder that holds the complexes' folders")
    index: str = Field(description="index file in the folder, such as index/INDEX_refined_data.2020")
    core: str | None = Field(None, description="file in the folder whose first words are the codes of the test set")


Dataset = Annotated[
    Psi4Databases
    | RawFolder
    | XyzFolder
    | ExcitonPairs
    | Qm9
    | MoleculeFolder
    | Conformers
    | OpenmmForcefields
    | ComplexFolder
    | Pdbbind,
    Field(discriminator="source"),
]

#: Classes of datasets by their `source`.
SOURCES: dict[str, type[DatasetBase]] = {
    get_args(cls.model_fields["source"].annotation)[0]: cls
    for cls in (
        *(Psi4Databases, RawFolder, XyzFolder, ExcitonPairs, Qm9, MoleculeFolder, Conformers),
        *(OpenmmForcefields, ComplexFolder, Pdbbind),
    )
}
