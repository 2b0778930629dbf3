"""What graphs take from stores of features or from the raw data, for a block of structures at once.

`features.py` says the same for one structure, and is what this is tested against. Legend: n structures of a block, ΣN
atoms of all, K columns of the graphset's atom features.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from psigraph.graphs.columns import offsets_of
from psigraph.graphs.features import CALCULATIONS
from psigraph.graphs.multipoles import shift_moments
from psigraph.graphs.settings import BASELINES, GIVEN, LEWIS_LABELS, LEWIS_PROBE, MULTIPOLES, GraphSettings
from psigraph.quantum.quantum_set import QuantumSet
from psigraph.quantum.table import FEATURES
from psigraph.structures.model import StructureSet


class Reasons:
    """Why structures become no graph: of each the first reason that was found."""

    def __init__(self, n: int) -> None:
        self.ok = np.ones(n, dtype=bool)
        self.of: dict[int, str] = {}  # by row

    def add(self, bad: np.ndarray, reason: Callable[[int], str]) -> None:
        """Note `reason(row)` for the rows that are `bad` (n,) and were well so far."""
        for row in np.flatnonzero(bad & self.ok).tolist():
            self.of[row] = reason(row)
        self.ok &= ~bad


@dataclass(frozen=True)
class BlockFeatures:
    """What is known about the structures of a block; rows of structures that become no graph hold anything."""

    atoms: np.ndarray  # (ΣN, K), columns in the order of the graphset's atom_features
    baseline: np.ndarray  # (n,) hartree, NaN where it is not computed
    participation_ratio: np.ndarray  # (n,) NaN where it was not asked for
    dipole: np.ndarray | None = None  # (n, 3) e·Å
    quadrupole: np.ndarray | None = None  # (n, 3, 3) e·Å²
    origin: np.ndarray | None = None  # (n, 3) Å

    def moments_about(self, points: np.ndarray, charges: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return dipoles (n, 3) [e·Å] and quadrupoles (n, 3, 3) [e·Å²] about `points` (n, 3) [Å], or None."""
        if self.dipole is None or self.quadrupole is None or self.origin is None:
            return None
        return shift_moments(charges, self.dipole, self.quadrupole, points - self.origin)


def block_features(
    structures: StructureSet, sets: Mapping[str, QuantumSet], settings: GraphSettings, reasons: Reasons
) -> BlockFeatures:
    """Return the features of a block, from the raw data at level `given`, else from `sets`, row i of structure i each.

    `sets` maps programs (psi4, pyscf, rdkit, dftd4) to what they computed, and is empty where nothing is needed.
    """
    if settings.level == GIVEN and not sets:
        return _given(structures, settings, reasons)
    return _computed(structures, sets, settings, reasons)


def _given(structures: StructureSet, settings: GraphSettings, reasons: Reasons) -> BlockFeatures:
    n = structures.n
    reasons.add(~structures.has_given, lambda _: "the raw data gives no populations and moments (level: given)")
    atoms = structures.given_mulliken_spd if settings.atom_features else np.zeros((len(structures.z), 0))
    for name in settings.atom_features:
        _check_finite(name, structures.given_mulliken_spd, structures.offsets, reasons)
    unknown = np.full(n, np.nan)
    if not settings.multipoles:
        return BlockFeatures(atoms, unknown, unknown)
    moments = {
        "dipole": structures.given_dipole,
        "quadrupole": structures.given_quadrupole,
        "origin": structures.given_origin,
    }
    for name, values in moments.items():
        _check_finite(name, values, None, reasons)
    return BlockFeatures(atoms, unknown, unknown, **moments)


def _computed(
    structures: StructureSet, sets: Mapping[str, QuantumSet], settings: GraphSettings, reasons: Reasons
) -> BlockFeatures:
    n, needed = structures.n, settings.needed()
    for program in dict.fromkeys(FEATURES[name].program for name in needed):
        _check_status(sets[program], program, reasons)
    atoms = _atoms(structures, sets, settings, reasons)
    values = {
        name: _by_structure(sets[FEATURES[name].program], name) for name in needed if FEATURES[name].per != "atom"
    }
    for name in needed:
        if name in settings.atom_features:
            table = sets[FEATURES[name].program]
            _check_finite(name, table[name], table.offsets["atom"], reasons)
        elif name in MULTIPOLES:
            _check_finite(name, values[name], None, reasons)
    if LEWIS_PROBE in values:
        labels = ", ".join(name for name in settings.atom_features if name in LEWIS_LABELS)
        message = sets["rdkit"].message
        reasons.add(~_finite(values[LEWIS_PROBE]), lambda row: f"no Lewis structure, so no {labels}: {message[row]}")
    moments = {}
    if settings.multipoles and settings.computed:
        moments = {**{name: values[name] for name in MULTIPOLES}, "origin": sets["psi4"].origin}
        _check_finite("origin", moments["origin"], None, reasons)
    baseline = np.full(n, np.nan)
    if BASELINES[settings.v0]:
        baseline = sum((values[name].reshape(n, -1)[:, -1] for name in BASELINES[settings.v0]), np.zeros(n))
    return BlockFeatures(atoms, baseline, values.get("participation_ratio", np.full(n, np.nan)), **moments)


def _atoms(
    structures: StructureSet, sets: Mapping[str, QuantumSet], settings: GraphSettings, reasons: Reasons
) -> np.ndarray:
    """Return the columns of the atoms (ΣN, K); 0 without a level of theory."""
    result = np.zeros((len(structures.z), settings.atom_width))
    sizes, first = structures.n_atoms, 0
    for name in settings.atom_features:
        last = first + int(np.prod(FEATURES[name].shape))
        if name in settings.needed():
            table = sets[FEATURES[name].program]
            found = np.diff(table.offsets["atom"])
            fits = found == sizes
            reasons.add(~fits, partial(_other_atoms, found, sizes))
            values = table[name].reshape(-1, last - first)
            if fits.all():
                result[:, first:last] = values
            else:
                result[np.repeat(fits, sizes), first:last] = values[np.repeat(fits, found)]
        first = last
    return result


def _other_atoms(found: np.ndarray, sizes: np.ndarray, row: int) -> str:
    return f"features of {found[row]} atoms for {sizes[row]} atoms"


def _by_structure(table: QuantumSet, name: str) -> np.ndarray:
    """Return a feature of whole structures (n, *shape); of a dimer's three systems the dimer's."""
    return table[name][:, 0] if FEATURES[name].per == "system" else table[name]


def _check_status(table: QuantumSet, program: str, reasons: Reasons) -> None:
    reasons.add(~table.ok, lambda row: f"{CALCULATIONS[program]} failed ({table.status[row]}): {table.message[row]}")


def _check_finite(name: str, values: np.ndarray, offsets: np.ndarray | None, reasons: Reasons) -> None:
    """Note the structures with values that are not finite: (n, ...), or those of their atoms (ΣN, ...) with offsets."""
    finite = _finite(values)
    if finite.all():
        return
    if offsets is not None:
        finite = np.diff(offsets_of(~finite)[offsets]) == 0
    reasons.add(~finite, lambda _: f"{name} holds values that are not finite")


def _finite(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values.reshape(len(values), -1)).all(axis=1) if len(values) else np.ones(0, dtype=bool)
