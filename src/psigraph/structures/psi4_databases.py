"""Dimers with reference interaction energies from the benchmark databases that come with Psi4.

The modules are Python files that build `qcdb.Molecule` objects. They run here with a stand-in for `qcdb`, without Psi4:
`GEOS[...]` then holds the geometry text, `BIND` the reference interaction energies [kcal/mol].
"""

import builtins
import logging
import math
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.config import Psi4Databases
from psigraph.structures.elements import symbol_of
from psigraph.structures.model import Structure
from psigraph.structures.psi4_text import parse_molecule
from psigraph.structures.reading import ReadResult
from psigraph.structures.sources import StructureError, psi4_databases_folder

logger = logging.getLogger(__name__)

UNIT = "kcal/mol"

#: Where the geometries and reference energies of each database were published.
REFERENCES: dict[str, str] = {
    "A24": "J. Řezáč, P. Hobza, J. Chem. Theory Comput. 9, 2151 (2013), doi:10.1021/ct400057w",
    "BBI": "L. A. Burns et al., The BioFragment Database, J. Chem. Phys. 147, 161727 (2017), doi:10.1063/1.5001028",
    "HBC6": "K. S. Thanthiriwatte et al., J. Chem. Theory Comput. 7, 88 (2011), doi:10.1021/ct100469b; energies: "
    "M. S. Marshall, L. A. Burns, C. D. Sherrill, J. Chem. Phys. 135, 194102 (2011), doi:10.1063/1.3659142",
    "JSCH": "P. Jurečka et al., Phys. Chem. Chem. Phys. 8, 1985 (2006), doi:10.1039/b600027d; corrections: "
    "L. A. Burns et al., J. Chem. Phys. 134, 084107 (2011), doi:10.1063/1.3545971",
    "NBC10": "L. A. Burns et al., J. Chem. Phys. 134, 084107 (2011), doi:10.1063/1.3545971; energies: "
    "M. S. Marshall, L. A. Burns, C. D. Sherrill, J. Chem. Phys. 135, 194102 (2011), doi:10.1063/1.3659142",
    "RGC10": "K. T. Tang, J. P. Toennies, J. Chem. Phys. 118, 4976 (2003), doi:10.1063/1.1543944",
    "S22by5": "L. Gráfová et al., J. Chem. Theory Comput. 6, 2365 (2010), doi:10.1021/ct1002253",
    "S66by8": "J. Řezáč, K. E. Riley, P. Hobza, J. Chem. Theory Comput. 7, 2427 (2011), doi:10.1021/ct2002946",
    "SSI": "L. A. Burns et al., The BioFragment Database, J. Chem. Phys. 147, 161727 (2017), doi:10.1063/1.5001028",
}
#: Databases of dissociation curves: the member's name ends in its separation, and all separations are one system.
CURVES = ("HBC6", "NBC10", "RGC10", "S22by5", "S66by8")


class _Molecule:
    """What the modules need of qcdb.Molecule."""

    def __init__(self, text: str) -> None:
        self.text = text

    def extract_fragments(self, *_: Any) -> None:
        return None


def read(dataset: Psi4Databases) -> ReadResult:
    """Read every dimer of the named databases, in the order of the configuration and of the databases' own lists."""
    folder = psi4_databases_folder()
    result = ReadResult(UNIT)
    for name in dataset.databases:
        before = len(result.structures), len(result.rejected)
        read_database(folder, name, result)
        found, failed = len(result.structures) - before[0], len(result.rejected) - before[1]
        logger.info("%s: %d dimers read, %d rejected", name, found, failed)
    return result


def unselected(dataset: Psi4Databases, structure: Structure) -> str | None:
    """Return which setting leaves the structure out, or None."""
    if structure.n_atoms < dataset.min_atoms:
        return f"fewer atoms than min_atoms {dataset.min_atoms}"
    if dataset.max_atoms is not None and structure.n_atoms > dataset.max_atoms:
        return f"more atoms than max_atoms {dataset.max_atoms}"
    if dataset.neutral_closed_shell and (structure.charge != (0, 0) or structure.multiplicity != (1, 1)):
        return "charged or open-shell (neutral_closed_shell)"
    present = {symbol_of(int(z)) for z in structure.z}
    excluded = [e for e in dataset.exclude_elements if e.capitalize() in present]
    return f"contains {excluded[0]} (exclude_elements)" if excluded else None


def read_database(folder: Path, name: str, result: ReadResult) -> None:
    """Append the dimers of one database, or the reason why not, to `result`."""
    module = load_module(folder / f"{name}.py")
    prefix, members, bind, geometries = (module[key] for key in ("dbse", "HRXN", "BIND", "GEOS"))
    placeholders = all(value == 0 for value in bind.values())
    for row, member in enumerate(members, start=1):
        identifier = f"{name}-{member}"
        molecule, value = geometries.get(f"{prefix}-{member}-dimer"), bind.get(f"{prefix}-{member}")
        try:
            if molecule is None:
                raise ValueError("the database lists it and holds no geometry of it")
            if placeholders or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"no reference energy: {'all are 0 in this database' if placeholders else value}")
            system = identifier.rpartition("-")[0] if name in CURVES else identifier
            result.accept(_structure(identifier, molecule.text, float(value), system, name), row)
        except ValueError as error:
            result.reject(name, row, identifier, str(error))


def _structure(identifier: str, text: str, value: float, system: str, source: str) -> Structure:
    molecule = parse_molecule(text)
    count = len(molecule.charge)
    if count != 2 or len(np.unique(molecule.fragment)) != 2:
        raise ValueError(f"a dimer has two fragments, this text {count}")
    return Structure(
        id=identifier,
        z=molecule.z,
        positions=molecule.positions,
        fragment=molecule.fragment,
        v_ref=value,
        system=system,
        source=source,
        charge=(molecule.charge[0], molecule.charge[1]),
        multiplicity=(molecule.multiplicity[0], molecule.multiplicity[1]),
    )


def load_module(path: Path) -> Mapping[str, Any]:
    """Run a database module with a stand-in for `qcdb` and return its names.

    Raises StructureError where the file is missing, fails, or holds no database.
    """
    if not path.is_file():
        raise StructureError(f"{path}: no such database; this installation of Psi4 does not have it")
    qcdb = types.SimpleNamespace(Molecule=_Molecule)

    def importer(name: str, *args: Any, **kwargs: Any) -> Any:
        return qcdb if name == "qcdb" else builtins.__import__(name, *args, **kwargs)

    names: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": importer}, "__name__": path.stem}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escape sequences in their patterns
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    except Exception as error:  # whatever a damaged or foreign module raises
        raise StructureError(
            f"{path}: cannot be run as a database of Psi4 ({type(error).__name__}: {error}); reinstall psi4-data"
        ) from error
    missing = [key for key in ("dbse", "HRXN", "BIND", "GEOS") if key not in names]
    if missing:
        raise StructureError(f"{path}: defines no {', '.join(missing)}; it is no database of Psi4's format")
    return names
