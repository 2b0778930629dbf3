"""Interaction energy of a dimer by symmetry-adapted perturbation theory."""

from typing import Any

import numpy as np

from psigraph.quantum.errors import InputError
from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf
from psigraph.quantum.system import System
from psigraph.structures.model import FRAGMENT_B
from psigraph.units import BOHR_RADIUS

_TERMS = ("ELST", "EXCH", "IND", "DISP", "TOTAL")


@computes("sapt0")
def sapt0(scf: Scf) -> np.ndarray:
    """Electrostatics, exchange, induction, dispersion and their sum (5,) [hartree]; NaN for a molecule.

    SAPT0 in the dimer's basis with the level's basis set, δHF in the induction, frozen core, fitted as Psi4 does by
    default. Runs three SCFs of its own. Raises InputError for open shells and for atoms with a core potential, which
    Psi4 1.3.2 leaves out of its integrals between the monomers.
    """
    system, psi4 = scf.system, scf.psi4
    if not system.is_dimer:
        return np.full(5, np.nan)
    if system.multiplicities != (1, 1):
        raise InputError(f"sapt0 needs two closed shells; the multiplicities are {system.multiplicities}")
    if scf.wavefunction.basisset().has_ECP():
        raise InputError("sapt0: Psi4 cannot do atoms with a core potential; take an all-electron basis set")
    try:
        psi4.core.clean()
        psi4.set_options({"freeze_core": "true", "num_frozen_docc": 0})  # MP2 leaves the dimer's number behind
        psi4.energy("sapt0", molecule=_dimer(system, psi4))
        return np.array([psi4.core.variable(f"SAPT {term} ENERGY") for term in _TERMS])
    finally:
        psi4.core.IO.set_default_namespace("")  # SAPT leaves its own


def _dimer(system: System, psi4: Any) -> Any:
    """Return the Psi4 molecule with A's atoms before B's."""
    from qcelemental import periodictable

    order = np.argsort(system.fragment, kind="stable")
    return psi4.core.Molecule.from_arrays(
        geom=(system.positions[order] / BOHR_RADIUS).ravel(),
        elbl=[f"{periodictable.to_E(int(system.z[k]))}_{'ab'[system.fragment[k]]}" for k in order],
        units="Bohr",
        fragment_separators=[int((system.fragment != FRAGMENT_B).sum())],
        fragment_charges=[float(charge) for charge in system.charges],
        fragment_multiplicities=list(system.multiplicities),
        molecular_charge=float(system.charge),
        molecular_multiplicity=1,
        fix_com=True,
        fix_orientation=True,
        fix_symmetry="c1",
    )
