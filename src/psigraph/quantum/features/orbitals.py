"""Orbital energies and where the highest occupied orbital sits."""

import numpy as np

from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf

#: Occupied orbitals within this of the highest one count as degenerate with it [hartree].
HOMO_WINDOW = 1e-4


@computes("orbital_energies")
def orbital_energies(scf: Scf) -> np.ndarray:
    """HOMO, LUMO and gap (3,) [hartree]; NaN where no orbital is occupied, or none is empty.

    With unrestricted orbitals each spin counts by itself. Restricted open-shell orbitals serve both spins: the
    unoccupied ones are those that hold no electron at all.
    """
    spins = (scf.spins[0],) if scf.restricted else scf.spins
    occupied = np.concatenate([spin.energies[: spin.occupied] for spin in spins])
    empty = np.concatenate([spin.energies[spin.occupied :] for spin in spins])
    homo = occupied.max() if len(occupied) else np.nan
    lumo = empty.min() if len(empty) else np.nan
    return np.array([homo, lumo, lumo - homo])


@computes("participation_ratio")
def participation_ratio(scf: Scf) -> np.ndarray:
    """1/Σ_m p_m², between 1 (one monomer carries the HOMO) and 2 (both do equally); NaN for a molecule.

    p_m is monomer m's Löwdin share averaged over the occupied orbitals, of either spin, within HOMO_WINDOW of the
    highest one of both spins. NaN where there is no electron.
    """
    energies = np.concatenate([spin.energies[: spin.occupied] for spin in scf.spins])
    if not (len(energies) and scf.system.is_dimer):
        return np.array(np.nan)
    coefficients = np.concatenate([spin.coefficients[:, : spin.occupied] for spin in scf.spins], axis=1)
    chosen = energies >= energies.max() - HOMO_WINDOW
    weight = (scf.root_overlap @ coefficients[:, chosen]) ** 2  # (M, chosen)
    of_function = scf.system.fragment[scf.integrals.atom]  # (M,)
    p = np.array([weight[of_function == m].sum(axis=0).mean() for m in (0, 1)])
    return 1.0 / np.sum((p / p.sum()) ** 2)
