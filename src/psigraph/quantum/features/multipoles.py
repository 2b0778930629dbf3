"""Multipole moments of the density and the nuclei about the structure's centroid, which is the coordinate origin."""

from itertools import permutations

import numpy as np

from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf
from psigraph.units import BOHR_RADIUS

_AXES = "XYZ"


@computes("dipole", "quadrupole", "electronic_extent")
def moments(scf: Scf) -> dict[str, np.ndarray]:
    """Dipole (3,) [e·Å], traceless quadrupole (3, 3) [e·Å²] and electronic extent () [Å²] about the centroid.

    Q_ab = Σ q (r_a r_b − δ_ab r²/3) over nuclei and electrons, without the factor 3/2 of some programs. The extent is
    Σ ⟨r²⟩ over electrons, without the nuclei.
    """
    integrals = scf.integrals
    charge, place, density = integrals.nuclear_charge, integrals.nuclear_position, scf.density.ravel()
    first = charge @ place - integrals.position.reshape(3, -1) @ density
    electrons = (integrals.second.reshape(9, -1) @ density).reshape(3, 3)
    second = (charge[:, None] * place).T @ place - electrons
    traceless = second - np.eye(3) * np.trace(second) / 3
    return {
        "dipole": first * BOHR_RADIUS,
        "quadrupole": traceless * BOHR_RADIUS**2,
        "electronic_extent": np.trace(electrons) * BOHR_RADIUS**2,
    }


@computes("octupole")
def octupole(scf: Scf) -> np.ndarray:
    """Traceless octupole (3, 3, 3) [e·Å³] about the centroid, symmetric in all indices; see `traceless_octupole`.

    The third moments are Psi4's (OEProp): Psi4 1.3.2 hands out no integrals of that order.
    """
    psi4 = scf.psi4
    properties = psi4.core.OEProp(scf.wavefunction)
    properties.add("MULTIPOLE(3)")
    properties.compute()
    third = np.empty((3, 3, 3))
    for a, b, c in np.ndindex(3, 3, 3):
        if a <= b <= c:
            value = psi4.core.variable(f"OCTUPOLE {_AXES[a]}{_AXES[b]}{_AXES[c]}")  # atomic units
            for place in set(permutations((a, b, c))):
                third[place] = value
    return traceless_octupole(third) * BOHR_RADIUS**3


def traceless_octupole(third: np.ndarray) -> np.ndarray:
    """Return O_abc = T_abc − (t_a δ_bc + t_b δ_ac + t_c δ_ab)/5 with t_a = Σ_b T_abb, from third moments T (3, 3, 3).

    A. J. Stone, The Theory of Intermolecular Forces, 2nd ed. (2013), ch. 2, without the factor 5/2.
    """
    trace = np.einsum("abb->a", third)
    one = np.eye(3)
    parts = (np.einsum(f"{x},{yz}->abc", trace, one) for x, yz in (("a", "bc"), ("b", "ac"), ("c", "ab")))
    return third - sum(parts) / 5
