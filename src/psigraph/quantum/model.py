"""What goes into a quantum job and what comes out of it, for one dimer.

Shapes: N atoms of the dimer; the first axis of length 3 of energies and moments is dimer, A, B.
"""

from dataclasses import dataclass, field

import numpy as np

OK = "ok"
#: Why a structure failed: wrong input, too little memory or disk, no convergence, anything else.
FAILURE_CLASSES = ("input", "resources", "convergence", "random")
STATUSES = (OK, *FAILURE_CLASSES)


@dataclass(frozen=True)
class Dimer:
    """One dimer as Psi4 needs it."""

    z: np.ndarray  # (N,) atomic numbers
    positions: np.ndarray  # (N, 3) float64 Å
    fragment: np.ndarray  # (N,) 0 = A, 1 = B
    charges: tuple[int, int]  # e, of A and B
    multiplicities: tuple[int, int]  # 2S + 1, of A and B

    @property
    def n_atoms(self) -> int:
        return len(self.z)


def _nan(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan)


@dataclass(frozen=True)
class DimerResult:
    """Quantum features of one dimer, or the reason why there are none (then every number is NaN)."""

    status: str
    message: str = ""
    energy: np.ndarray = field(default_factory=lambda: _nan(3))  # (3,) hartree; A and B in the dimer's basis
    interaction_energy: float = float("nan")  # hartree, counterpoise-corrected
    dipole: np.ndarray = field(default_factory=lambda: _nan(3, 3))  # (3, 3) e·Å
    quadrupole: np.ndarray = field(default_factory=lambda: _nan(3, 3, 3))  # (3, 3, 3) e·Å², traceless
    origin: np.ndarray = field(default_factory=lambda: _nan(3))  # (3,) Å, where the moments refer to
    mulliken_spd: np.ndarray = field(default_factory=lambda: _nan(0, 3))  # (N, 3) electrons in s, p, d functions
    mulliken_charge: np.ndarray = field(default_factory=lambda: _nan(0))  # (N,) e
    participation_ratio: float = float("nan")
    wall_time: float = 0.0  # s
    psi4_version: str = ""

    @property
    def ok(self) -> bool:
        return self.status == OK


def failed(status: str, message: str, n_atoms: int, *, wall_time: float = 0.0, psi4_version: str = "") -> DimerResult:
    """Return the result of a dimer of `n_atoms` atoms that could not be computed."""
    if status not in FAILURE_CLASSES:
        raise ValueError(f"unknown failure class {status!r}; known: {', '.join(FAILURE_CLASSES)}")
    return DimerResult(
        status=status,
        message=message,
        mulliken_spd=_nan(n_atoms, 3),
        mulliken_charge=_nan(n_atoms),
        wall_time=wall_time,
        psi4_version=psi4_version,
    )
