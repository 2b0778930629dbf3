"""Bonds and what the density matrix says about them.

Shapes: P bonds of the structure, pairs of atoms i < j (`System.bonds`); M basis functions.
"""

import numpy as np

from psigraph.quantum.errors import InputError
from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf


@computes("bonds", "bond_length")
def bonds(scf: Scf) -> dict[str, np.ndarray]:
    """Atoms (P, 2) and lengths (P,) [Å] of the bonds."""
    place = scf.system.positions
    i, j = scf.bonds.T
    return {"bonds": scf.bonds, "bond_length": np.linalg.norm(place[i] - place[j], axis=1)}


@computes("mayer_index")
def mayer_index(scf: Scf) -> np.ndarray:
    """Mayer's bond order (P,): Σ over μ on i, ν on j of (PS)_μν (PS)_νμ + (QS)_μν (QS)_νμ.

    P is the density of both spins, Q = α − β (I. Mayer, Int. J. Quantum Chem. 29, 477, 1986, for open shells).
    """
    overlap = scf.integrals.overlap
    products = [density @ overlap for density in _densities(scf, scf.density, scf.spin_density)]
    return _over_atoms(scf, sum((product * product.T for product in products), np.zeros_like(overlap)))


@computes("wiberg_lowdin")
def wiberg_lowdin(scf: Scf) -> np.ndarray:
    """Wiberg's index (P,) in the Löwdin basis: Σ over μ on i, ν on j of P_μν² + Q_μν², P and Q as in `mayer_index`."""
    squares = [density**2 for density in _densities(scf, *scf.lowdin_densities)]
    return _over_atoms(scf, sum(squares, np.zeros_like(squares[0])))


@computes("block_shape", "density_block")
def density_blocks(scf: Scf) -> dict[str, np.ndarray]:
    """Shapes (P, 2) of the blocks of the bonded pairs, and the blocks row by row, one bond after another.

    Element (μ on i, ν on j) of the density of both spins in the Löwdin basis. Functions stand shell by shell as in the
    basis set, and within a shell of l as the real spherical harmonics m = 0, +1, −1, +2, −2, ... (p: z, x, y). A turned
    molecule has the blocks D_i B D_jᵀ, D block-diagonal with the real Wigner matrices of each shell's l. Raises
    InputError for Cartesian functions, which do not turn that way.
    """
    functions = [np.flatnonzero(scf.integrals.atom == a) for a in range(scf.system.n_atoms)]
    sizes = np.array([len(f) for f in functions])
    if not scf.integrals.spherical:
        raise InputError("density_block: the basis set has Cartesian d functions; take one of spherical harmonics")
    density = scf.lowdin_densities[0]
    blocks = [density[np.ix_(functions[i], functions[j])].ravel() for i, j in scf.bonds]
    return {"block_shape": sizes[scf.bonds], "density_block": np.concatenate([np.zeros(0), *blocks])}


def _densities(scf: Scf, total: np.ndarray, spin: np.ndarray) -> tuple[np.ndarray, ...]:
    return (total,) if scf.closed_shell else (total, spin)


def _over_atoms(scf: Scf, elements: np.ndarray) -> np.ndarray:
    """Sum elements (M, M) over the functions of the two atoms of each bond: (P,)."""
    on_atom = np.arange(scf.system.n_atoms)[:, None] == scf.integrals.atom[None, :]  # (N, M)
    sums = on_atom @ elements @ on_atom.T
    i, j = scf.bonds.T
    return sums[i, j]
