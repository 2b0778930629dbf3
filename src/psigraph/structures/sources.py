"""Which raw files a dataset reads. Standard library only: the workflow asks before any job starts."""

import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: Environment variable that names Psi4's data folder (the one that holds databases/).
PSI4_DATA_VARIABLE = "PSIGRAPH_PSI4_DATA"


#: QM9's tables in the package qm9pack.
QM9_PARTS = "qm9_part*.csv"


class StructureError(ValueError):
    """A dataset cannot be read; the message names the file, what is wrong and what to do."""


def psi4_databases_folder() -> Path:
    """Return the folder of Psi4's benchmark databases.

    Looked at in this order: PSIGRAPH_PSI4_DATA, the share folder beside the interpreter of PSIGRAPH_PSI4_PYTHON,
    PSIDATADIR, the conda environment, /usr/share/psi4 (Debian's psi4-data), the share folder beside `psi4` on the PATH.
    Raises StructureError with the remedy where none holds databases.
    """
    given = os.environ.get(PSI4_DATA_VARIABLE)
    if given:
        for folder in (Path(given) / "databases", Path(given)):
            if (folder / "S66by8.py").is_file():
                return folder
        raise StructureError(
            f"{PSI4_DATA_VARIABLE}={given}: holds no databases/S66by8.py; name the folder share/psi4 of a Psi4 "
            "installation, or unset the variable"
        )
    candidates = list(_share_folders())
    for folder in candidates:
        if (folder / "databases" / "S66by8.py").is_file():
            return folder / "databases"
    raise StructureError(
        "no benchmark databases of Psi4 found; install them (Debian: apt install psi4-data; conda: conda install "
        f"-c conda-forge psi4) or set {PSI4_DATA_VARIABLE} to the folder share/psi4; looked in: "
        + ", ".join(map(str, candidates))
    )


def _share_folders() -> Iterable[Path]:
    interpreter, executable = os.environ.get("PSIGRAPH_PSI4_PYTHON"), shutil.which("psi4")
    if interpreter:
        yield Path(interpreter).parent.parent / "share/psi4"
    if os.environ.get("PSIDATADIR"):
        yield Path(os.environ["PSIDATADIR"])
    for prefix in (os.environ.get("CONDA_PREFIX"), sys.prefix, "/usr"):
        if prefix:
            yield Path(prefix) / "share/psi4"
    if executable:
        yield Path(executable).resolve().parent.parent / "share/psi4"


def qm9_folder(path: str | Path | None = None) -> Path:
    """Return the folder of QM9's tables: `path`, else the data folder of the installed package qm9pack.

    The package is found without being imported. Raises StructureError with the remedy where there is none.
    """
    if path is None:
        found = importlib.util.find_spec("qm9pack")
        if found is None or found.origin is None:
            raise StructureError(
                "source qm9: the package qm9pack, which holds the data, is not installed; install it with: "
                "pip install qm9pack"
            )
        path = Path(found.origin).parent / "data"
    if not list(Path(path).glob(QM9_PARTS)):
        raise StructureError(f"{path}: holds no {QM9_PARTS}; install qm9pack again or correct `path`")
    return Path(path)


def openmm_systems_folder(path: str | Path | None = None) -> Path:
    """Return the folder of posed ligands: `path`, else that of the installed package openmmforcefields.

    The package is found without being imported. Raises StructureError with the remedy where there is none.
    """
    if path is None:
        found = importlib.util.find_spec("openmmforcefields")
        if found is None or found.origin is None:
            raise StructureError(
                "source openmmforcefields: the package openmmforcefields, which holds the data, is not installed; "
                "install it with: pip install openmmforcefields"
            )
        path = Path(found.origin).parent / "data/perses_jacs_systems"
    if not list(Path(path).glob("*/*_protein.pdb")):
        raise StructureError(f"{path}: holds no */*_protein.pdb; install openmmforcefields again or correct `path`")
    return Path(path)


def raw_files(
    source: str,
    *,
    path: str | Path | None = None,
    databases: Iterable[str] = (),
    table: str = "",
    archive: str | None = None,
    named: Iterable[str] = (),
) -> list[Path]:
    """Return the files that a dataset of this `source` (as in config.yaml) reads, sorted; those that exist.

    `path` is the folder of folder datasets, `databases` the names of Psi4's databases, `table` the table of a folder of
    molecules or complexes, `archive` the file in the folder that holds all others, `named` further files in it. Raises
    StructureError where there is no such table, archive or file, and no data of Psi4, QM9 or openmmforcefields.
    """
    if source == "psi4_databases":
        folder = psi4_databases_folder()
        files = [folder / f"{name}.py" for name in databases]
    elif source == "qm9":
        files = list(qm9_folder(path).glob(QM9_PARTS))
    elif source == "openmmforcefields":
        folder = openmm_systems_folder(path)
        files = [*folder.glob("*/*_protein.pdb"), *folder.glob("*/*.sdf")]
    elif archive:
        files = [Path(path or ".") / archive]
        if not files[0].is_file():
            raise StructureError(f"{files[0]}: no such file; name the archive of complexes in `archive`")
    else:
        patterns = {
            "raw_folder": ("meta.xlsx", "meta.csv", "**/*.pdb", "**/*.npz"),
            "xyz_folder": ("labels.csv", "**/*.xyz"),
            "exciton_pairs": ("pairs.csv.gz", "geom.npz"),
            "molecule_folder": ("**/*.xyz", "**/*.sdf", "**/*.mol"),
            "conformers": ("index.csv.gz", "geom.npz"),
            "complex_folder": ("**/*.pdb", "**/*.sdf", "**/*.mol2"),
            "pdbbind": [
                f"{folder}/*_{file}" for folder in ("*", "*/*") for file in ("protein.pdb", "ligand.sdf", "ligand.mol2")
            ],
        }[source]
        files = [f for pattern in patterns for f in Path(path or ".").glob(pattern)]
        kind = "complexes" if source == "complex_folder" else "molecules"
        remedies = [(table, f"name the table of {kind} in `table`"), *((name, "correct its name") for name in named)]
        for name, remedy in remedies:
            if name:
                files.append(Path(path or ".") / name)
                if not files[-1].is_file():
                    raise StructureError(f"{files[-1]}: no such file; {remedy}")
    return sorted(f for f in files if f.is_file())


def files_of(dataset: Any) -> list[Path]:
    """Return the files that a dataset's entry in the configuration reads; as `raw_files`."""
    return raw_files(
        dataset.source,
        path=getattr(dataset, "path", None),
        databases=getattr(dataset, "databases", ()),
        table=getattr(dataset, "table", ""),
        archive=getattr(dataset, "archive", None),
        named=[name for key in ("index", "core") if (name := getattr(dataset, key, None))],
    )


def file_digests(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return {path below `root`: SHA-256 of the content}."""
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
