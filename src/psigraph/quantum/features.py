"""Multipole moments, Mulliken populations and the participation ratio from integrals and densities.

Pure NumPy on atomic-orbital (AO) quantities in atomic units, so every formula can be tested without Psi4;
`basis_integrals` and `orbitals` alone know Psi4's objects. Shapes: M basis functions, N atoms (ghosts included),
O occupied orbitals. Lengths of results are converted with `units.BOHR_RADIUS` only: the runner hands Psi4 positions in
bohr, so Psi4's own constant (CODATA 2014 in version 1.3.2, 3e-10 smaller) enters nowhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from psigraph.units import BOHR_RADIUS

#: Occupied orbitals within this of the highest one count as degenerate with it [hartree].
HOMO_WINDOW = 1e-4


@dataclass(frozen=True)
class Integrals:
    """AO integrals of one basis set, with the nuclei; atomic units, about the coordinate origin."""

    overlap: np.ndarray  # (M, M)
    position: np.ndarray  # (3, M, M) <μ|r_a|ν>, bohr
    second: np.ndarray  # (3, 3, M, M) <μ|r_a r_b|ν>, bohr²
    atom: np.ndarray  # (M,) atom a function sits on
    angular_momentum: np.ndarray  # (M,) l of a function's shell
    nuclear_charge: np.ndarray  # (N,) e; less the core an ECP replaces, 0 for a ghost
    nuclear_position: np.ndarray  # (N, 3) bohr


@dataclass(frozen=True)
class Orbitals:
    """Occupied orbitals of one spin."""

    coefficients: np.ndarray  # (M, O)
    energies: np.ndarray  # (O,) hartree


def basis_integrals(wavefunction: Any) -> Integrals:
    """Read the integrals of a Psi4 wavefunction in C1.

    Psi4's ao_dipole and ao_quadrupole carry the electron's charge of −1, which is taken out here.
    """
    from psi4 import core

    basis = wavefunction.basisset()
    molecule = wavefunction.molecule()
    mints = core.MintsHelper(basis)
    upper = [-np.array(m) for m in mints.ao_quadrupole()]  # xx, xy, xz, yy, yz, zz
    xx, xy, xz, yy, yz, zz = upper
    functions = range(basis.nbf())
    return Integrals(
        overlap=np.array(mints.ao_overlap()),
        position=np.stack([-np.array(m) for m in mints.ao_dipole()]),
        second=np.stack([np.stack([xx, xy, xz]), np.stack([xy, yy, yz]), np.stack([xz, yz, zz])]),
        atom=np.array([basis.function_to_center(i) for i in functions], dtype=np.int64),
        angular_momentum=np.array([basis.shell(basis.function_to_shell(i)).am for i in functions], dtype=np.int64),
        nuclear_charge=np.array([molecule.Z(i) for i in range(molecule.natom())]),
        nuclear_position=np.array(molecule.geometry()),
    )


def orbitals(wavefunction: Any) -> tuple[Orbitals, Orbitals]:
    """Return the occupied α and β orbitals of a Psi4 wavefunction; for RHF they are equal."""
    return (
        Orbitals(
            np.array(wavefunction.Ca_subset("AO", "OCC")), np.array(wavefunction.epsilon_a_subset("AO", "OCC")).ravel()
        ),
        Orbitals(
            np.array(wavefunction.Cb_subset("AO", "OCC")), np.array(wavefunction.epsilon_b_subset("AO", "OCC")).ravel()
        ),
    )


def mulliken(integrals: Integrals, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Mulliken populations in s, p and d functions (N, 3) [electrons] and atomic charges (N,) [e].

    `density` (M, M) is α + β. The population of function μ is (D S)_μμ; the charge takes in functions of every l.
    """
    gross = np.einsum("mn,nm->m", density, integrals.overlap)  # (M,)
    n_atoms = len(integrals.nuclear_charge)
    spd = np.zeros((n_atoms, 3))
    low = integrals.angular_momentum < 3
    np.add.at(spd, (integrals.atom[low], integrals.angular_momentum[low]), gross[low])
    total = np.bincount(integrals.atom, weights=gross, minlength=n_atoms)
    return spd, integrals.nuclear_charge - total


def moments(integrals: Integrals, density: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return dipole (3,) [e·Å] and traceless quadrupole (3, 3) [e·Å²] about `origin` (3,) [bohr].

    Q_ab = Σ q (r_a r_b − δ_ab r²/3) over nuclei and electrons, without the factor 3/2 of some programs.
    """
    charge, place = integrals.nuclear_charge, integrals.nuclear_position
    q = charge.sum() - np.einsum("mn,nm->", density, integrals.overlap)
    first = charge @ place - np.einsum("amn,nm->a", integrals.position, density)
    second = np.einsum("i,ia,ib->ab", charge, place, place) - np.einsum("abmn,nm->ab", integrals.second, density)
    o = np.asarray(origin, dtype=np.float64)
    shifted = second - np.outer(o, first) - np.outer(first, o) + q * np.outer(o, o)
    traceless = shifted - np.eye(3) * np.trace(shifted) / 3
    return (first - q * o) * BOHR_RADIUS, traceless * BOHR_RADIUS**2


def lowdin_shares(integrals: Integrals, coefficients: np.ndarray, fragment: np.ndarray) -> np.ndarray:
    """Return the share (O, 2) of each orbital on fragments A and B: Σ_μ∈m |(S^½ C)_μ|², P.-O. Löwdin 1950.

    `fragment` (N,) is 0 or 1 for each atom.
    """
    values, vectors = np.linalg.eigh(integrals.overlap)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    weight = (root @ coefficients) ** 2  # (M, O)
    of_function = np.asarray(fragment)[integrals.atom]  # (M,)
    return np.stack([weight[of_function == m].sum(axis=0) for m in (0, 1)], axis=1)


def participation_ratio(integrals: Integrals, spins: tuple[Orbitals, Orbitals], fragment: np.ndarray) -> float:
    """Return 1/Σ_m p_m², between 1 (one monomer carries the HOMO) and 2 (both do equally).

    p_m is monomer m's Löwdin share averaged over the occupied orbitals, of either spin, within HOMO_WINDOW of the
    highest one of both spins. NaN where there is no electron.
    """
    energies = np.concatenate([spin.energies for spin in spins])
    if not len(energies):
        return float("nan")
    coefficients = np.concatenate([spin.coefficients for spin in spins], axis=1)
    chosen = energies >= energies.max() - HOMO_WINDOW
    p = lowdin_shares(integrals, coefficients[:, chosen], fragment).mean(axis=0)
    return float(1.0 / np.sum((p / p.sum()) ** 2))
