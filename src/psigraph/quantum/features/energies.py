"""The energy of one SCF and its parts."""

import numpy as np

from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf


@computes("energy")
def energy(scf: Scf) -> np.ndarray:
    """Total energy () [hartree]."""
    return np.array(scf.energy)


@computes("energy_components")
def energy_components(scf: Scf) -> np.ndarray:
    """Nuclear repulsion, kinetic, electron-nucleus and electron-electron energy (4,) [hartree]; they add to `energy`.

    Core potentials belong to the third. The kinetic energy is tr(D T); the others are Psi4's own of its last iteration.
    """
    parts = {name: scf.wavefunction.get_energies(name) for name in ("Nuclear", "One-Electron", "Two-Electron")}
    kinetic_integrals = np.array(scf.psi4.core.MintsHelper(scf.wavefunction.basisset()).ao_kinetic())
    kinetic = np.vdot(kinetic_integrals, scf.density)
    return np.array([parts["Nuclear"], kinetic, parts["One-Electron"] - kinetic, parts["Two-Electron"]])
