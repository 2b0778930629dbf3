"""All descriptors of one structure."""

import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from psigraph.descriptors import dispersion, lewis_features
from psigraph.descriptors.free_atoms import ROW, VALENCE
from psigraph.descriptors.sterics import accessible_area, buried_volume
from psigraph.descriptors.torsions import dihedral
from psigraph.quantum.model import OK, Result
from psigraph.quantum.system import System, systems_of
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import Structure

PROGRAMS = ("rdkit", "dftd4")
#: Names of all descriptors, in the table's order; `bonds` says which bonds the features of bonds belong to.
NAMES = tuple(name for name, feature in FEATURES.items() if feature.program in PROGRAMS or name == "bonds")


def descriptors(structure: Structure) -> Result:
    """Return the descriptors of a molecule or dimer.

    Where a part cannot be computed its values are NaN (0 in columns of whole numbers), the rest stays, and `message`
    says why; the status is `input` with no values only where the geometry is impossible.
    """
    start = time.monotonic()
    origin, systems = systems_of(structure)
    system = systems[0]
    common: dict[str, Any] = {"origin": origin, "n_atoms": system.n_atoms, "n_systems": len(systems)}
    try:
        values = _geometric(system)
    except ValueError as error:
        return Result("input", str(error), wall_time=time.monotonic() - start, **common)
    perceived, problems = lewis_features.lewis_features(system)
    values |= perceived
    try:
        values["dispersion_d4"] = np.array(dispersion.dispersion_d4(system))
    except RuntimeError as error:
        values["dispersion_d4"] = np.array(np.nan)
        problems.append(f"dftd4: {' '.join(str(error).split())}")
    return Result(OK, "; ".join(problems), values=_typed(values), wall_time=time.monotonic() - start, **common)


def _geometric(system: System) -> dict[str, np.ndarray]:
    """Features of elements and positions alone. Raises ValueError where two atoms coincide."""
    z, positions, bonds = system.z, system.positions, system.bonds
    return {
        "bonds": bonds,
        "valence_electrons": VALENCE[z].sum(axis=1),
        "principal_quantum_number": ROW[z],
        "free_atom_valence": VALENCE[z],
        "buried_volume": buried_volume(z, positions),
        "accessible_area": accessible_area(z, positions),
        "dihedral": dihedral(z, positions, bonds),
    }


def _typed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values in the table's order and types. Raises KeyError where one is missing."""
    return {name: np.asarray(values[name]).astype(FEATURES[name].dtype) for name in _ordered(values)}


def _ordered(values: Iterable[str]) -> tuple[str, ...]:
    missing = set(NAMES) - set(values)
    if missing:
        raise KeyError(f"descriptors not computed: {', '.join(sorted(missing))}")
    return NAMES
