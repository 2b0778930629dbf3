"""Quantum features of one dimer, from the quantum store or from the raw data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from psigraph.graphs.multipoles import shift_moments
from psigraph.structures.model import Structure

if TYPE_CHECKING:
    from psigraph.quantum.store import QuantumSet


class SkippedStructure(ValueError):
    """A structure that becomes no graph; the message is the reason."""


@dataclass(frozen=True)
class Features:
    """What a level of theory says about one dimer; the moments refer to `origin`."""

    mulliken_spd: np.ndarray  # (N, 3) electrons
    dipole: np.ndarray  # (3,) e·Å
    quadrupole: np.ndarray  # (3, 3) e·Å², traceless
    origin: np.ndarray  # (3,) Å
    interaction_energy: float = np.nan  # hartree, counterpoise-corrected
    participation_ratio: float = np.nan

    def moments_about(self, point: np.ndarray, charge: float) -> tuple[np.ndarray, np.ndarray]:
        """Return dipole (3,) [e·Å] and quadrupole (3, 3) [e·Å²] about `point` (3,) [Å]; charge in e."""
        return shift_moments(charge, self.dipole, self.quadrupole, point - self.origin)


def given_features(structure: Structure) -> Features:
    """Return the features of the raw data. Raises SkippedStructure where the row has none."""
    if not structure.has_given:
        raise SkippedStructure("the raw data gives no populations and moments (level: given)")
    features = Features(
        structure.given_mulliken_spd, structure.given_dipole, structure.given_quadrupole, structure.given_origin
    )
    _check_finite(features)
    return features


def computed_features(quantum: "QuantumSet", row: int) -> Features:
    """Return the features of row `row` of a quantum set. Raises SkippedStructure where its calculation failed."""
    status = str(quantum.status[row])
    if status != "ok":
        raise SkippedStructure(f"quantum calculation failed ({status}): {quantum.message[row]}")
    a, b = int(quantum.offsets[row]), int(quantum.offsets[row + 1])
    features = Features(
        mulliken_spd=quantum.mulliken_spd[a:b],
        dipole=quantum.dipole[row, 0],
        quadrupole=quantum.quadrupole[row, 0],
        origin=quantum.origin[row],
        interaction_energy=float(quantum.interaction_energy[row]),
        participation_ratio=float(quantum.participation_ratio[row]),
    )
    _check_finite(features)
    return features


def _check_finite(features: Features) -> None:
    for name in ("mulliken_spd", "dipole", "quadrupole", "origin"):
        if not np.isfinite(getattr(features, name)).all():
            raise SkippedStructure(f"{name} holds values that are not finite")
