"""One converged SCF as NumPy arrays, and what several features share, each computed once.

Shapes: M basis functions, K molecular orbitals, N atoms (ghosts included). Atomic units throughout; features convert
with `units` on their way out. The runner hands Psi4 positions in bohr about the structure's centroid, so Psi4's own
constants (CODATA 2014 in version 1.3.2) enter nowhere, and the coordinate origin is the centroid.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from psigraph.quantum.system import System

if TYPE_CHECKING:
    from psigraph.quantum.natural import NaturalOrbitals
    from psigraph.quantum.nbo import BondOrbitals


@dataclass(frozen=True)
class Integrals:
    """AO integrals of one basis set, with the nuclei; about the coordinate origin."""

    overlap: np.ndarray  # (M, M)
    position: np.ndarray  # (3, M, M) <μ|r_a|ν>, bohr
    second: np.ndarray  # (3, 3, M, M) <μ|r_a r_b|ν>, bohr²
    atom: np.ndarray  # (M,) atom a function sits on
    angular_momentum: np.ndarray  # (M,) l of a function's shell
    shell: np.ndarray  # (M,) shell a function belongs to; functions of one shell are neighbours, in Psi4's order of m
    nuclear_charge: np.ndarray  # (N,) e; less the core an ECP replaces, 0 for a ghost
    nuclear_position: np.ndarray  # (N, 3) bohr
    spherical: bool = True  # whether shells hold real spherical harmonics, not Cartesian functions


@dataclass(frozen=True)
class Orbitals:
    """All molecular orbitals of one spin, occupied ones first."""

    coefficients: np.ndarray  # (M, K)
    energies: np.ndarray  # (K,) hartree
    occupied: int

    @property
    def density(self) -> np.ndarray:
        """Density matrix (M, M) of this spin."""
        occupied = self.coefficients[:, : self.occupied]
        return occupied @ occupied.T


@dataclass(frozen=True)
class Scf:
    """One converged SCF. `wavefunction` and `psi4` are None where it was made from arrays, in tests."""

    system: System
    level: Mapping[str, Any]
    energy: float  # hartree
    integrals: Integrals
    spins: tuple[Orbitals, Orbitals]  # α and β, equal for a closed shell
    fock: tuple[np.ndarray, np.ndarray]  # (M, M) of α and β, hartree
    wavefunction: Any = None
    psi4: Any = None

    @property
    def closed_shell(self) -> bool:
        return self.system.multiplicity == 1

    @cached_property
    def density(self) -> np.ndarray:
        """Density matrix (M, M), α + β."""
        return self.spins[0].density + self.spins[1].density

    @cached_property
    def spin_density(self) -> np.ndarray:
        """Density matrix (M, M), α − β."""
        return self.spins[0].density - self.spins[1].density

    @property
    def restricted(self) -> bool:
        """Whether α and β share their orbitals: closed shells, and restricted open ones."""
        return self.closed_shell if self.wavefunction is None else bool(self.wavefunction.same_a_b_orbs())

    @cached_property
    def bonds(self) -> np.ndarray:
        """Bonded pairs (P, 2), i < j."""
        return self.system.bonds

    @cached_property
    def root_overlap(self) -> np.ndarray:
        """X (M, M) with XᵀX = S, which takes coefficients to the Löwdin basis: S^½ where shells are orthonormal.

        P.-O. Löwdin, J. Chem. Phys. 18, 365 (1950). Cartesian functions of a shell overlap, and S^½ of them depends on
        how the molecule lies (I. Mayer, Chem. Phys. Lett. 393, 209, 2004). So each shell is orthonormalised among
        itself first, T = S_shell^-½, which makes it turn by an orthogonal matrix: X = (TᵀST)^½ T⁻¹.
        """
        overlap, shell = self.integrals.overlap, self.integrals.shell
        if self.integrals.spherical:
            return _power(overlap, 0.5)
        within = np.where(shell[:, None] == shell[None, :], overlap, 0.0)
        scale = _power(within, -0.5)
        return _power(scale @ overlap @ scale, 0.5) @ _power(within, 0.5)

    @cached_property
    def lowdin_densities(self) -> tuple[np.ndarray, np.ndarray]:
        """Density matrices (M, M) of α + β and of α − β in the Löwdin basis."""
        root = self.root_overlap
        half = [root @ spin.coefficients[:, : spin.occupied] for spin in self.spins]
        alpha, beta = (h @ h.T for h in half)
        return alpha + beta, alpha - beta

    @cached_property
    def nao(self) -> "NaturalOrbitals":
        """Natural atomic orbitals of the density; see `natural.py` for what is raised."""
        from psigraph.quantum.natural import natural_orbitals

        return natural_orbitals(self)

    @cached_property
    def nbo(self) -> "tuple[BondOrbitals, ...]":
        """Natural bond orbitals: one set for a closed shell, else one for α and one for β."""
        from psigraph.quantum.nbo import bond_orbitals

        return bond_orbitals(self, self.nao)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a symmetric matrix without negative eigenvalues; those that rounding makes count as 0."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.clip(values, 0, None) ** exponent) @ vectors.T


def scf_of(system: System, level: Mapping[str, Any], energy: float, wavefunction: Any, psi4: Any) -> Scf:
    """Return a Psi4 wavefunction in C1 as an `Scf`."""
    return Scf(
        system=system,
        level=level,
        energy=float(energy),
        integrals=basis_integrals(wavefunction),
        spins=(_orbitals(wavefunction, "a"), _orbitals(wavefunction, "b")),
        fock=(np.array(wavefunction.Fa_subset("AO")), np.array(wavefunction.Fb_subset("AO"))),
        wavefunction=wavefunction,
        psi4=psi4,
    )


def basis_integrals(wavefunction: Any) -> Integrals:
    """Read the integrals of a Psi4 wavefunction in C1.

    Psi4's ao_dipole and ao_quadrupole carry the electron's charge of −1, which is taken out here.
    """
    from psi4 import core

    basis = wavefunction.basisset()
    molecule = wavefunction.molecule()
    mints = core.MintsHelper(basis)
    xx, xy, xz, yy, yz, zz = [-np.array(m) for m in mints.ao_quadrupole()]
    functions = range(basis.nbf())
    shell = np.array([basis.function_to_shell(i) for i in functions], dtype=np.int64)
    return Integrals(
        overlap=np.array(mints.ao_overlap()),
        position=np.stack([-np.array(m) for m in mints.ao_dipole()]),
        second=np.stack([np.stack([xx, xy, xz]), np.stack([xy, yy, yz]), np.stack([xz, yz, zz])]),
        atom=np.array([basis.function_to_center(i) for i in functions], dtype=np.int64),
        angular_momentum=np.array([basis.shell(int(s)).am for s in shell], dtype=np.int64),
        shell=shell,
        nuclear_charge=np.array([molecule.Z(i) for i in range(molecule.natom())]),
        nuclear_position=np.array(molecule.geometry()),
        spherical=bool(basis.has_puream()),
    )


def _orbitals(wavefunction: Any, spin: str) -> Orbitals:
    coefficients = getattr(wavefunction, f"C{spin}_subset")
    energies = getattr(wavefunction, f"epsilon_{spin}_subset")
    parts = [np.array(coefficients("AO", space)) for space in ("OCC", "VIR")]
    levels = [np.array(energies("AO", space)).ravel() for space in ("OCC", "VIR")]
    return Orbitals(np.concatenate(parts, axis=1), np.concatenate(levels), parts[0].shape[1])
