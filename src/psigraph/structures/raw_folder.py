"""The raw format: meta.xlsx or meta.csv, two PDB files and optionally one NPZ per dimer.

Columns: `id`, `pdb_a`, `pdb_b`, `npz`, `R_nm`, `theta_deg` or `theta_rad`, `V0`, `PR`, `Vref`; V carries its unit in
the column name (`Vref_meV`, `Vref [kcal/mol]`) or in the configuration. Optional: `charge_a`, `charge_b`,
`multiplicity_a`, `multiplicity_b` (neutral singlets where absent). File names are relative to the folder.

The NPZ holds `mulliken_spd` (N, 2 or 3) [electrons], atoms of A then B in the order of the PDB files, d = 0 if absent;
`dipole` (3,) [Debye]; `quadrupole` [Debye·Å], (3, 3) symmetric or 6 values in the order xx, xy, xz, yy, yz, zz. The
quadrupole is Σ q r_a r_b, with its trace or without it, and without the factor 3/2; here its trace is removed. Both
refer to the unweighted centroid of the dimer's atoms and to the axes of the placed dimer.
"""

import logging
import math
import zipfile
from pathlib import Path

import numpy as np

from psigraph.config import RawFolder
from psigraph.structures import reading
from psigraph.structures.checks import check
from psigraph.structures.model import Structure
from psigraph.structures.pdb import read_pdb
from psigraph.structures.reading import ReadResult, Row, RowError
from psigraph.structures.sources import StructureError
from psigraph.units import ANGSTROM_PER_NM, E_ANGSTROM_PER_DEBYE

logger = logging.getLogger(__name__)

_KNOWN = {"id", "pdb_a", "pdb_b", "npz", "R_nm", "theta_deg", "theta_rad", "PR"} | {
    f"{what}_{m}" for what in ("charge", "multiplicity") for m in "ab"
}


def read(dataset: RawFolder, *, labels: bool = True) -> ReadResult:
    """Read a folder in the raw format. Raises StructureError for a table that cannot be used at all.

    `labels=False` allows a table without Vref, or rows without it (new dimers to predict).
    """
    path = meta_file(dataset.path)
    table = reading.read_table(path)
    table.require("id", "pdb_a", "pdb_b", *(["R_nm"] if dataset.placement == "stacked" else []))
    if {"theta_deg", "theta_rad"} <= set(table.columns):
        raise StructureError(f"{path}: has both theta_deg and theta_rad; keep one")
    v_ref = reading.label_column(path, table.columns, "Vref", dataset.unit)
    if v_ref is None and labels:
        raise StructureError(f"{path}: lacks the column 'Vref'; it has {table.columns}")
    v_0 = reading.label_column(path, table.columns, "V0", dataset.unit)
    used = _KNOWN | {column[0] for column in (v_ref, v_0) if column}
    ignored = [c for c in table.columns if c not in used]
    if ignored:
        logger.warning("%s: columns that are not used: %s", path, ", ".join(ignored))
    result = ReadResult((v_ref or v_0 or ("", ""))[1])
    for n, row in enumerate(table.rows, start=1):
        try:
            structure = _read_row(dataset, row, path.name)
            structure.v_ref = reading.energy(row, v_ref, result.unit, required=labels)
            structure.v_0 = reading.energy(row, v_0, result.unit)
            result.accept(structure, n)
        except ValueError as error:
            result.reject(path.name, n, row["id"], str(error))
    return result


def read_raw_folder(
    folder: str | Path, *, placement: str = "stacked", unit: str | None = None, labels: bool = True
) -> ReadResult:
    """Read and check a folder in the raw format, as the structures stage does, without groups and selection.

    `placement` and `unit` as in the configuration (`RawFolder`), `labels` as in `read`. Raises StructureError for a
    table that cannot be used.
    """
    dataset = RawFolder(source="raw_folder", path=Path(folder), placement=placement, unit=unit)
    return check(read(dataset, labels=labels), labels=labels)


def meta_file(folder: Path) -> Path:
    """Return the folder's meta.xlsx or meta.csv. Raises StructureError where there is none, or both."""
    found = [f for name in ("meta.xlsx", "meta.csv") if (f := folder / name).is_file()]
    if len(found) != 1:
        problem = "holds both meta.xlsx and meta.csv; keep one" if found else "holds no meta.xlsx and no meta.csv"
        raise StructureError(f"{folder}: {problem}")
    return found[0]


def place_stacked(a: np.ndarray, b: np.ndarray, separation: float) -> np.ndarray:
    """Return positions (N_a + N_b, 3): each monomer centred by its unweighted centroid, B moved along +z [Å]."""
    return np.concatenate([a - a.mean(axis=0), b - b.mean(axis=0) + [0.0, 0.0, separation]])


def _read_row(dataset: RawFolder, row: Row, source: str) -> Structure:
    reading.require_complete(row)
    (z_a, a), (z_b, b) = (read_pdb(reading.inside(dataset.path, row[c], c)) for c in ("pdb_a", "pdb_b"))
    separation = reading.number(row, "R_nm", required=dataset.placement == "stacked") * ANGSTROM_PER_NM
    if separation <= 0:
        raise RowError(f"R_nm is {row['R_nm']}; a separation is above 0")
    positions = place_stacked(a, b, separation) if dataset.placement == "stacked" else np.concatenate([a, b])
    theta = reading.number(row, "theta_rad")
    if math.isnan(theta):
        theta = math.radians(reading.number(row, "theta_deg"))
    structure = Structure(
        id=row["id"],
        z=np.concatenate([z_a, z_b]),
        positions=positions,
        fragment=np.repeat([0, 1], [len(a), len(b)]),
        v_ref=math.nan,
        source=source,
        charge=(reading.integer(row, "charge_a", 0), reading.integer(row, "charge_b", 0)),
        multiplicity=(reading.integer(row, "multiplicity_a", 1), reading.integer(row, "multiplicity_b", 1)),
        separation=separation,
        theta=theta,
        pr=reading.number(row, "PR"),
    )
    if row.get("npz", ""):
        _add_given(structure, reading.inside(dataset.path, row["npz"], "npz"))
    return structure


def _add_given(structure: Structure, path: Path) -> None:
    """Fill the given features from an NPZ. Raises RowError naming the file and the array."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {k: np.asarray(data[k], dtype=np.float64) for k in data.files if k in _NPZ}
    except (OSError, ValueError, zipfile.BadZipFile, TypeError, EOFError) as error:
        raise RowError(f"npz {path.name}: cannot be read as NPZ of plain numbers ({error})") from None
    missing = [k for k in _NPZ if k not in arrays]
    if missing:
        raise RowError(f"npz {path.name}: lacks {', '.join(missing)}")
    for key, values in arrays.items():
        if not np.isfinite(values).all():
            raise RowError(f"npz {path.name}: {key} holds a value that is not finite")
    structure.given_mulliken_spd = _populations(arrays["mulliken_spd"], structure.n_atoms, path)
    if arrays["dipole"].size != 3:
        raise RowError(f"npz {path.name}: dipole has shape {arrays['dipole'].shape}, expected (3,)")
    structure.given_dipole = arrays["dipole"].reshape(3) * E_ANGSTROM_PER_DEBYE
    structure.given_quadrupole = traceless_quadrupole(arrays["quadrupole"], path.name) * E_ANGSTROM_PER_DEBYE
    structure.given_origin = structure.positions.mean(axis=0)
    structure.has_given = True


_NPZ = ("mulliken_spd", "dipole", "quadrupole")


def _populations(values: np.ndarray, n_atoms: int, path: Path) -> np.ndarray:
    if values.ndim != 2 or values.shape[0] != n_atoms or values.shape[1] not in (2, 3):
        raise RowError(
            f"npz {path.name}: mulliken_spd has shape {values.shape}, expected ({n_atoms}, 2) or ({n_atoms}, 3)"
        )
    return np.pad(values, ((0, 0), (0, 3 - values.shape[1])))


def traceless_quadrupole(values: np.ndarray, name: str) -> np.ndarray:
    """Return the traceless (3, 3) tensor Q_ab - δ_ab tr(Q)/3 of a symmetric (3, 3) one or of xx, xy, xz, yy, yz, zz."""
    if values.shape in ((6,), (1, 6)):
        xx, xy, xz, yy, yz, zz = values.reshape(6)
        values = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if values.shape != (3, 3):
        raise RowError(f"npz {name}: quadrupole has shape {values.shape}, expected (3, 3) or (6,): xx xy xz yy yz zz")
    if not np.allclose(values, values.T, rtol=1e-6, atol=1e-6):
        raise RowError(f"npz {name}: quadrupole is not symmetric")
    return (values + values.T) / 2 - np.eye(3) * np.trace(values) / 3
