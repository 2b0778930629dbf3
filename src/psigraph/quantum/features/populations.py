"""Populations of atoms by Mulliken and Löwdin."""

import numpy as np

from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf


@computes("mulliken_spd", "mulliken_f", "mulliken_charge")
def mulliken(scf: Scf) -> dict[str, np.ndarray]:
    """Populations (N, 3) and (N,) [electrons] of s, p, d and of f functions, and charges (N,) [e].

    The population of function μ is (D S)_μμ with D the density of both spins (R. S. Mulliken, J. Chem. Phys. 23, 1833,
    1955); the charge takes in functions of every l.
    """
    integrals = scf.integrals
    gross = (scf.density * integrals.overlap).sum(axis=1)  # (M,)
    by_l = np.zeros((len(integrals.nuclear_charge), 4))
    low = integrals.angular_momentum < 4
    np.add.at(by_l, (integrals.atom[low], integrals.angular_momentum[low]), gross[low])
    return {"mulliken_spd": by_l[:, :3], "mulliken_f": by_l[:, 3], "mulliken_charge": _charges(scf, gross)}


@computes("lowdin_charge")
def lowdin_charge(scf: Scf) -> np.ndarray:
    """Charges (N,) [e] from populations in the Löwdin basis of `Scf.root_overlap`."""
    return _charges(scf, np.diagonal(scf.lowdin_densities[0]))


def _charges(scf: Scf, population: np.ndarray) -> np.ndarray:
    """Return charges (N,) from populations (M,) of basis functions."""
    nuclei = scf.integrals.nuclear_charge
    return nuclei - np.bincount(scf.integrals.atom, weights=population, minlength=len(nuclei))
