"""Which raw files a dataset reads. Standard library only: the workflow asks before any job starts."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

#: Environment variable that names Psi4's data folder (the one that holds databases/).
PSI4_DATA_VARIABLE = "PSIGRAPH_PSI4_DATA"


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


def raw_files(source: str, *, path: str | Path | None = None, databases: Iterable[str] = ()) -> list[Path]:
    """Return the files that a dataset of this `source` (as in config.yaml) reads, sorted; those that exist.

    `path` is the folder of folder datasets, `databases` the names of Psi4's databases.
    """
    if source == "psi4_databases":
        folder = psi4_databases_folder()
        files = [folder / f"{name}.py" for name in databases]
    else:
        patterns = {
            "raw_folder": ("meta.xlsx", "meta.csv", "**/*.pdb", "**/*.npz"),
            "xyz_folder": ("labels.csv", "**/*.xyz"),
            "exciton_pairs": ("pairs.csv.gz", "geom.npz"),
        }[source]
        files = [f for pattern in patterns for f in Path(path or ".").glob(pattern)]
    return sorted(f for f in files if f.is_file())


def file_digests(files: Iterable[Path], root: Path) -> dict[str, str]:
    """Return {path below `root`: SHA-256 of the content}."""
    return {str(f.relative_to(root)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
