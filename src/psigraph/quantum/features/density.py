"""The electron density at points."""

import numpy as np

from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf
from psigraph.units import BOHR_RADIUS


@computes("density_at_nucleus")
def density_at_nucleus(scf: Scf) -> np.ndarray:
    """Electron density (N,) [electrons/Å³] at each nucleus; without the core that a core potential replaces."""
    return electron_density(scf, scf.integrals.nuclear_position) / BOHR_RADIUS**3


@computes("midpoint_density")
def midpoint_density(scf: Scf) -> np.ndarray:
    """Electron density (P,) [electrons/Å³] halfway between bonded atoms."""
    i, j = scf.bonds.T
    place = scf.integrals.nuclear_position
    return electron_density(scf, (place[i] + place[j]) / 2) / BOHR_RADIUS**3


def electron_density(scf: Scf, points: np.ndarray) -> np.ndarray:
    """Return the density (n,) [electrons/bohr³] of both spins at points (n, 3) [bohr]."""
    functions = basis_functions(scf, points)
    return ((functions @ scf.density) * functions).sum(axis=1)


def basis_functions(scf: Scf, points: np.ndarray) -> np.ndarray:
    """Return the values (n, M) [bohr^-3/2] of all basis functions at points (n, 3) [bohr]."""
    if not len(points):
        return np.zeros((0, len(scf.integrals.overlap)))
    return _spherical(scf, points) if scf.integrals.spherical else _cartesian(scf, points)


def _spherical(scf: Scf, points: np.ndarray) -> np.ndarray:
    """Evaluate functions (n, M) by Psi4's own grid code; of Cartesian ones it makes a segmentation fault."""
    core, basis = scf.psi4.core, scf.wavefunction.basisset()
    columns = [core.Vector.from_array(np.ascontiguousarray(points[:, k])) for k in range(3)]
    extents = core.BasisExtents(basis, 0.0)  # 0: no function is cut off anywhere
    block = core.BlockOPoints(*columns, core.Vector.from_array(np.ones(len(points))), extents)
    worker = core.BasisFunctions(basis, len(points), basis.nbf())
    worker.compute_functions(block)
    local = np.array(block.functions_local_to_global())
    values = np.zeros((len(points), basis.nbf()))
    values[:, local] = np.array(worker.basis_values()["PHI"])[: len(points), : len(local)]
    return values


def _cartesian(scf: Scf, points: np.ndarray) -> np.ndarray:
    """Evaluate x^i y^j z^k Σ c exp(−a r²) (n, M): in a shell i falls first, then j, and all share the factors c."""
    basis = scf.wavefunction.basisset()
    columns = []
    for s in range(basis.nshell()):
        shell = basis.shell(s)
        primitives = range(shell.nprimitive)
        exponents = np.array([shell.exp(p) for p in primitives])
        coefficients = np.array([shell.coef(p) for p in primitives])
        r = points - scf.integrals.nuclear_position[shell.ncenter]  # (n, 3)
        radial = np.exp(-np.outer((r**2).sum(axis=1), exponents)) @ coefficients  # (n,)
        for i in range(shell.am, -1, -1):
            for j in range(shell.am - i, -1, -1):
                columns.append(radial * r[:, 0] ** i * r[:, 1] ** j * r[:, 2] ** (shell.am - i - j))
    return np.stack(columns, axis=1)
