"""How the density answers to a static electric field."""

from typing import Any

import numpy as np

from psigraph.quantum.errors import InputError
from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf
from psigraph.units import BOHR_RADIUS

#: Residual at which the coupled-perturbed equations count as solved, and after how many iterations they do not.
RESIDUAL, MAX_ITERATIONS = 1e-6, 60


@computes("polarizability")
def polarizability(scf: Scf) -> np.ndarray:
    """Static dipole polarisability (3, 3) [Å³] by coupled-perturbed Hartree-Fock.

    Solves H x_b = μ_b for the occupied-virtual rotations x_b (J. Gerratt, I. M. Mills, J. Chem. Phys. 49, 1719, 1968)
    with the same (density-fitted) integrals as the SCF. Raises InputError for restricted open-shell orbitals, which
    Psi4 1.3.2 has no such equations for, and RuntimeError ("did not converge") where they cannot be solved.
    """
    if scf.restricted and not scf.closed_shell:
        raise InputError("polarizability: Psi4 has no response of a restricted open shell; take reference: auto")
    wavefunction = scf.wavefunction
    wavefunction.set_jk(_new_jk(scf))
    forces = _dipole_blocks(scf)  # per direction, per spin with a rotation
    flat = [matrix for direction in forces for matrix in direction]
    if not flat:
        return np.zeros((3, 3))
    solved = wavefunction.cphf_solve(flat, RESIDUAL, MAX_ITERATIONS, 0)
    if not wavefunction.cphf_converged():
        raise RuntimeError(f"the coupled-perturbed equations did not converge in {MAX_ITERATIONS} iterations")
    left, right = (np.array([np.concatenate([np.array(m).ravel() for m in group]) for group in _by_three(vectors)])
                   for vectors in (flat, solved))  # fmt: skip
    alpha = -(4.0 if scf.closed_shell else 2.0) * left @ right.T
    return (alpha + alpha.T) / 2 * BOHR_RADIUS**3


def _by_three(vectors: list[Any]) -> list[list[Any]]:
    size = len(vectors) // 3
    return [vectors[k * size : (k + 1) * size] for k in range(3)]


def _new_jk(scf: Scf) -> Any:
    """Return a Coulomb and exchange builder; the SCF has thrown its own away."""
    core, wavefunction = scf.psi4.core, scf.wavefunction
    fitting = wavefunction.get_basisset("DF_BASIS_SCF") if scf.level["scf_type"] == "df" else None
    jk = core.JK.build(wavefunction.basisset(), fitting)
    jk.set_memory(int(core.get_memory() / 8 * 0.7))  # doubles
    jk.initialize()
    return jk


def _dipole_blocks(scf: Scf) -> list[list[Any]]:
    """Return the occupied-virtual blocks of the dipole operator: three directions, each of α (and β) orbitals."""
    psi4, wavefunction = scf.psi4, scf.wavefunction
    spins = "a" if scf.closed_shell else "ab"
    dipole = psi4.core.MintsHelper(wavefunction.basisset()).ao_dipole()
    blocks = []
    for operator in dipole:
        of_spins = []
        for spin in spins:
            subset = getattr(wavefunction, f"C{spin}_subset")
            of_spins.append(psi4.core.triplet(subset("AO", "OCC"), operator, subset("AO", "VIR"), True, False, False))
        blocks.append(of_spins)
    return blocks
