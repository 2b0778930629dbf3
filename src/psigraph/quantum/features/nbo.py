"""Natural bond orbitals (NBOs), donor-acceptor energies, and what both say of bonds. R: NBOs of all spins."""

import numpy as np

from psigraph.quantum.features.natural import natural_populations, wiberg_nao
from psigraph.quantum.nbo import ANTIBOND, BOND
from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf

#: Smallest E(2) that is listed [kcal/mol], and how many at most.
MIN_STABILISATION = 0.05
MAX_DONATIONS = 50
#: Bonds whose ends, lengths and indices differ by less are what symmetry makes equal: coordinates have three digits.
SYMMETRIC = 1e-3


@computes("nbo_type", "nbo_atoms", "nbo_spin", "nbo_occupancy", "nbo_energy", "nbo_share", "nbo_character")
def natural_bond_orbitals(scf: Scf) -> dict[str, np.ndarray]:
    """All NBOs by spin (both, or α then β), type, atoms and occupancy: see the table for each column."""
    spins = scf.nbo
    return {
        "nbo_type": np.concatenate([s.kind for s in spins]),
        "nbo_atoms": np.concatenate([s.atoms for s in spins]),
        "nbo_spin": np.concatenate([np.full(len(s.kind), s.spin) for s in spins]),
        "nbo_occupancy": np.concatenate([s.occupancy for s in spins]),
        "nbo_energy": np.concatenate([np.diagonal(s.fock) for s in spins]),
        "nbo_share": np.concatenate([s.share for s in spins]),
        "nbo_character": np.concatenate([s.character for s in spins]),
    }


@computes("donation_nbos", "donation_energy")
def donations(scf: Scf) -> dict[str, np.ndarray]:
    """The strongest donations: rows of donor and acceptor among the NBOs (D, 2), and E(2) (D,) [kcal/mol]."""
    rows: list[np.ndarray] = []
    energies: list[np.ndarray] = []
    start = 0
    for spin in scf.nbo:
        found = np.argwhere(spin.stabilisation > MIN_STABILISATION)
        energies.append(spin.stabilisation[found[:, 0], found[:, 1]])
        rows.append(found + start)
        start += len(spin.kind)
    energy, pairs = np.concatenate(energies), np.concatenate(rows)
    order = np.argsort(-energy, kind="stable")[:MAX_DONATIONS]
    return {"donation_nbos": pairs[order].reshape(-1, 2), "donation_energy": energy[order]}


@computes("bond_nbo", "bond_hybrid", "bond_donation")
def bonds_of_orbitals(scf: Scf) -> dict[str, np.ndarray]:
    """What the NBOs say of each bond: see the table. Zero where the best Lewis structure has none there.

    Bonds that the molecule's symmetry makes equal get the mean over them: of the two Kekule structures of benzene the
    NBOs show one, and which one would depend on the order of the atoms.
    """
    pairs = scf.bonds
    nbo, hybrid, donation = np.zeros((len(pairs), 3)), np.zeros((len(pairs), 2, 2)), np.zeros((len(pairs), 2))
    row = {(int(i), int(j)): k for k, (i, j) in enumerate(pairs)}
    shares: dict[int, list[np.ndarray]] = {}
    characters: dict[int, list[np.ndarray]] = {}
    for spin in scf.nbo:
        given, taken = spin.stabilisation.max(axis=1), spin.stabilisation.max(axis=0)
        for orbital in np.flatnonzero(np.isin(spin.kind, (BOND, ANTIBOND))):
            k = row.get((int(spin.atoms[orbital, 0]), int(spin.atoms[orbital, 1])))
            if k is None:
                continue
            if spin.kind[orbital] == ANTIBOND:
                nbo[k, 2] += spin.occupancy[orbital]
                donation[k, 1] = max(donation[k, 1], taken[orbital])
                continue
            nbo[k, :2] += 1.0 if spin.spin == 0 else 0.5, spin.occupancy[orbital]
            donation[k, 0] = max(donation[k, 0], given[orbital])
            shares.setdefault(k, []).append(spin.share[orbital])
            characters.setdefault(k, []).append(spin.character[orbital, :, 0])
    for k, share in shares.items():
        hybrid[k, :, 0] = np.mean(share, axis=0)
        hybrid[k, :, 1] = max(characters[k], key=lambda s: float(s.sum()))
    equal, swapped, alike = _symmetry(scf, pairs)
    hybrid[swapped] = hybrid[swapped, ::-1]
    hybrid = equal @ hybrid.reshape(-1, 4)
    hybrid = hybrid.reshape(-1, 2, 2)
    hybrid[alike] = hybrid[alike].mean(axis=1, keepdims=True)
    hybrid[swapped] = hybrid[swapped, ::-1]
    return {"bond_nbo": equal @ nbo, "bond_hybrid": hybrid, "bond_donation": equal @ donation}


def _symmetry(scf: Scf, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a matrix (P, P) that averages over equal bonds, which bonds to swap (P,), and whose ends are alike (P,).

    Bonds count as equal where elements, natural charges, length [Å] and Wiberg's index are, within SYMMETRIC. Swapped,
    the end with the lower atomic number, then charge, comes first.
    """
    charge = natural_populations(scf)["npa_charge"]
    ends = np.stack([scf.system.z[pairs], charge[pairs]], axis=-1)  # (P, 2, 2)
    place = scf.system.positions[pairs]  # (P, 2, 3)
    first, second = ends[:, 0], ends[:, 1]
    alike = (np.abs(first - second) < SYMMETRIC).all(axis=1)
    lower = (second[:, 0] < first[:, 0]) | ((second[:, 0] == first[:, 0]) & (second[:, 1] < first[:, 1]))
    swapped = lower & ~alike
    ends[swapped] = ends[swapped, ::-1]
    length = np.linalg.norm(place[:, 0] - place[:, 1], axis=1)
    key = np.column_stack([ends.reshape(-1, 4), length, wiberg_nao(scf)])  # (P, 6)
    equal = (np.abs(key[:, None] - key[None]) < SYMMETRIC).all(axis=-1).astype(float)
    return equal / equal.sum(axis=1, keepdims=True), swapped, alike
