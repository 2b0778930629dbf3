"""Populations and bond indices in natural atomic orbitals (NAOs)."""

import numpy as np

from psigraph.quantum.natural import VALENCE
from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf


@computes("npa_charge", "npa_spd", "npa_valence")
def natural_populations(scf: Scf) -> dict[str, np.ndarray]:
    """Natural charges (N,) [e], and populations (N, 3) [electrons] in s, p and d NAOs, of all and of valence ones.

    A. E. Reed, R. B. Weinstock, F. Weinhold, J. Chem. Phys. 83, 735 (1985). The charge takes in NAOs of every l.
    """
    nao, charges = scf.nao, scf.integrals.nuclear_charge
    populations = nao.populations
    by_l = np.zeros((2, len(charges), 3))
    low = nao.angular_momentum < 3
    for values, chosen in zip(by_l, (low, low & (nao.kind == VALENCE)), strict=True):
        np.add.at(values, (nao.atom[chosen], nao.angular_momentum[chosen]), populations[chosen])
    total = np.bincount(nao.atom, weights=populations, minlength=len(charges))
    return {"npa_charge": charges - total, "npa_spd": by_l[0], "npa_valence": by_l[1]}


@computes("wiberg_nao")
def wiberg_nao(scf: Scf) -> np.ndarray:
    """Wiberg's index (P,) in the natural atomic orbitals: Σ over μ on i, ν on j of P_μν² + Q_μν².

    P is the density of both spins, Q = α − β, so the sum is 2 (α² + β²) (K. B. Wiberg, Tetrahedron 24, 1083, 1968).
    """
    nao = scf.nao
    of_atom = np.eye(len(scf.integrals.nuclear_charge))[nao.atom]  # (M, N)
    squares = len(nao.densities) * np.sum([density**2 for density in nao.densities], axis=0)  # (M, M)
    index = of_atom.T @ squares @ of_atom  # (N, N)
    i, j = scf.bonds.T
    return index[i, j]
