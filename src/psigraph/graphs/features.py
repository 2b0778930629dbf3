"""What a graph takes from a level of theory and from descriptors, for one dimer: from stores or from the raw data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from psigraph.graphs.multipoles import shift_moments
from psigraph.graphs.settings import BASELINES, LEWIS_LABELS, LEWIS_PROBE, MULTIPOLES, GraphSettings
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import Structure

if TYPE_CHECKING:
    from psigraph.quantum.store import QuantumSet

#: What is said to have failed, by the program that gives a feature.
CALCULATIONS = {
    "psi4": "quantum calculation",
    "pyscf": "quantum calculation of shieldings",
    "rdkit": "descriptors",
    "dftd4": "descriptors",
}


class SkippedStructure(ValueError):
    """A structure that becomes no graph; the message is the reason."""


@dataclass(frozen=True)
class Features:
    """What is known about one dimer; the moments refer to `origin`. None and NaN stand for what was not asked for."""

    atoms: np.ndarray  # (N, K), columns in the order of the graphset's atom_features
    dipole: np.ndarray | None = None  # (3,) e·Å
    quadrupole: np.ndarray | None = None  # (3, 3) e·Å², traceless
    origin: np.ndarray | None = None  # (3,) Å
    baseline: float = np.nan  # hartree, V_0 where it is computed
    participation_ratio: float = np.nan

    def moments_about(self, point: np.ndarray, charge: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Return dipole (3,) [e·Å] and quadrupole (3, 3) [e·Å²] about `point` (3,) [Å], or None; charge in e."""
        if self.dipole is None or self.quadrupole is None or self.origin is None:
            return None
        return shift_moments(charge, self.dipole, self.quadrupole, point - self.origin)


def given_features(structure: Structure, settings: GraphSettings) -> Features:
    """Return the features of the raw data. Raises SkippedStructure where the row has none."""
    if not structure.has_given:
        raise SkippedStructure("the raw data gives no populations and moments (level: given)")
    populations = [structure.given_mulliken_spd for _ in settings.atom_features]  # there is at most one
    moments: dict[str, Any] = {}
    if settings.multipoles:
        moments = {
            "dipole": structure.given_dipole,
            "quadrupole": structure.given_quadrupole,
            "origin": structure.given_origin,
        }
    for name, values in (*zip(settings.atom_features, populations, strict=True), *moments.items()):
        _check_finite(name, values)
    return Features(_columns(populations, structure.n_atoms), **moments)


def computed_features(
    sets: "Mapping[str, QuantumSet]", row: int, structure: Structure, settings: GraphSettings
) -> Features:
    """Return the features of `structure`, row `row` of every set.

    `sets` maps programs (psi4, pyscf, rdkit, dftd4) to what they computed; all that `settings.needed()` names must be
    there. Columns of Psi4's features are 0 without a level of theory. Raises SkippedStructure where a calculation
    failed or a value is not finite, and what `QuantumSet` raises where it lacks a feature.
    """
    values = {}
    for name in settings.needed():
        program = FEATURES[name].program
        _check_status(sets[program], row, program)
        values[name] = value_of(sets[program], name, row)
    n = structure.n_atoms
    for name in settings.atom_features:
        if len(values.get(name, structure.z)) != n:
            raise SkippedStructure(f"features of {len(values[name])} atoms for {n} atoms")
    for name in settings.needed():
        if name in settings.atom_features or name in MULTIPOLES:
            _check_finite(name, values[name])
    if LEWIS_PROBE in values and not np.isfinite(values[LEWIS_PROBE]).all():
        labels = [name for name in settings.atom_features if name in LEWIS_LABELS]
        raise SkippedStructure(f"no Lewis structure, so no {', '.join(labels)}: {sets['rdkit'].message[row]}")
    moments: dict[str, Any] = {}
    if settings.multipoles and settings.computed:
        moments = {**{name: values[name] for name in MULTIPOLES}, "origin": sets["psi4"].origin[row]}
        _check_finite("origin", moments["origin"])
    return Features(
        _columns([values.get(name, np.zeros((n, *FEATURES[name].shape))) for name in settings.atom_features], n),
        **moments,
        baseline=_baseline(values, settings.v0),
        participation_ratio=float(values.get("participation_ratio", np.nan)),
    )


def value_of(table: "QuantumSet", name: str, row: int) -> np.ndarray:
    """Return a feature of the whole structure `row`: (*shape), of atoms (N, *shape)."""
    per = FEATURES[name].per
    if per == "system":
        return np.asarray(table[name][row, 0])
    return np.asarray(table[name][row if per == "structure" else table.rows(per, row)])


def _baseline(values: Mapping[str, np.ndarray], v0: str) -> float:
    """Return V_0 [hartree], NaN where it is not computed or a part of it is missing; of `sapt0` the total counts."""
    parts = [float(np.ravel(values[name])[-1]) for name in BASELINES[v0]]
    return sum(parts) if parts else np.nan


def _columns(values: list[np.ndarray], n: int) -> np.ndarray:
    """Return features of n atoms side by side (n, K), those of several components flattened."""
    return np.concatenate([np.zeros((n, 0)), *(np.reshape(array, (n, -1)) for array in values)], axis=1)


def _check_status(table: "QuantumSet", row: int, program: str) -> None:
    status = str(table.status[row])
    if status != "ok":
        raise SkippedStructure(f"{CALCULATIONS[program]} failed ({status}): {table.message[row]}")


def _check_finite(name: str, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise SkippedStructure(f"{name} holds values that are not finite")
