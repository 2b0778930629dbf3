"""Pairs of chromophores with exciton couplings: pairs.csv.gz and geom.npz.

The target is |J_exc| [meV], since the sign depends on the phase of the orbitals; the baseline V_0 is 0. The group and
the system of a pair is its simulation frame: pairs of one frame share molecules.
"""

import zipfile
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd

from psigraph.config import ExcitonPairs
from psigraph.structures.model import Structure
from psigraph.structures.reading import ReadResult, RowError
from psigraph.structures.sources import StructureError

UNIT = "meV"
_COLUMNS = ("chromophore", "aggregate", "frame", "i", "j", "J_exc", "intact")


def read(dataset: ExcitonPairs) -> ReadResult:
    """Read all pairs in the order of pairs.csv.gz. Raises StructureError where the two files do not go together."""
    table_path, geometry_path = dataset.path / "pairs.csv.gz", dataset.path / "geom.npz"
    try:
        table = pd.read_csv(table_path)
    except (OSError, ValueError, EOFError) as error:
        raise StructureError(f"{table_path}: cannot be read as compressed CSV ({error})") from error
    missing = [c for c in _COLUMNS if c not in table.columns]
    if missing:
        raise StructureError(f"{table_path}: lacks the columns {', '.join(missing)}")
    geometries = {}
    try:
        with np.load(geometry_path, allow_pickle=False) as data:
            for name in table["chromophore"].unique():
                geometries[name] = data[f"Z_{name}"], data[f"R_{name}"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StructureError(
            f"{geometry_path}: cannot be read, or does not match {table_path.name} ({error})"
        ) from error
    for name, count in table["chromophore"].value_counts().items():
        if len(geometries[name][1]) != count:
            raise StructureError(
                f"{geometry_path}: R_{name} holds {len(geometries[name][1])} pairs, {table_path.name} lists {count}"
            )
    result = ReadResult(UNIT)
    position: dict[Any, int] = defaultdict(int)
    for n, row in enumerate(table.itertuples(index=False), start=1):
        z, positions = geometries[row.chromophore]
        k = position[row.chromophore]
        position[row.chromophore] += 1
        frame = f"{row.chromophore}-{row.aggregate}-{row.frame}"
        identifier = f"{frame}-{row.i}-{row.j}"
        try:
            result.accept(_structure(row, identifier, frame, z, positions[k]), n)
        except RowError as error:
            result.reject(table_path.name, n, identifier, str(error))
    return result


def _structure(row: Any, identifier: str, frame: str, z: np.ndarray, positions: np.ndarray) -> Structure:
    if not row.intact:
        raise RowError("the source marks this pair as not intact")
    if not np.isfinite(row.J_exc):
        raise RowError(f"J_exc is {row.J_exc}")
    half = len(z) // 2
    return Structure(
        id=identifier,
        z=z,
        positions=positions,
        fragment=np.repeat([0, 1], [half, len(z) - half]),
        v_ref=abs(float(row.J_exc)),
        v_0=0.0,
        group=frame,
        system=frame,
        source=row.chromophore,
    )
