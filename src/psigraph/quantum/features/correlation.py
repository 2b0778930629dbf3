"""Correlation energy of second order on top of a converged SCF."""

import numpy as np

from psigraph.quantum.errors import InputError, QuantumError
from psigraph.quantum.registry import computes
from psigraph.quantum.scf import Scf

_NOBLE_GASES = (0, 2, 10, 18, 36, 54, 86)


@computes("mp2_correlation")
def mp2_correlation(scf: Scf) -> np.ndarray:
    """MP2 correlation energy () [hartree], density-fitted, with `frozen_orbitals` frozen.

    0 where less than two electrons or no orbital are left to correlate. Raises InputError for what Psi4 1.3.2 cannot
    do: a core that is not full, electrons to correlate of one spin only, and a restricted open shell.
    """
    core, wavefunction = scf.psi4.core, scf.wavefunction
    frozen = frozen_orbitals(scf)
    active = [spin.occupied - frozen for spin in scf.spins]
    empty = [spin.coefficients.shape[1] - spin.occupied for spin in scf.spins]
    if min(active) < 0:
        raise InputError(f"MP2 with frozen core: {-min(active)} of the {frozen} core orbitals lack an electron")
    if sum(active) < 2 or not min(empty):
        return np.zeros(())
    if not min(active):
        raise InputError("MP2 needs electrons of both spins above the frozen core")
    if scf.restricted and not scf.closed_shell:
        raise InputError("MP2 needs restricted closed or unrestricted open shells; set the level's reference to auto")
    # finalize() is the one place where Psi4 1.3.2 sets the number of frozen orbitals
    scf.psi4.set_options({"freeze_core": "false", "num_frozen_docc": frozen})
    wavefunction.finalize()
    if wavefunction.frzcpi().to_tuple() != (frozen,):
        raise QuantumError(f"Psi4 froze {wavefunction.frzcpi().to_tuple()} orbitals and not {frozen}")
    fitting = core.BasisSet.build(wavefunction.molecule(), "DF_BASIS_MP2", "", "RIFIT", scf.level["basis"])
    wavefunction.set_basisset("DF_BASIS_MP2", fitting)
    core.dfmp2(wavefunction).compute_energy()
    return np.array(core.variable("MP2 CORRELATION ENERGY"))


def frozen_orbitals(scf: Scf) -> int:
    """Return how many orbitals the noble gases below the real atoms fill, less those that core potentials replace.

    Not Psi4's own number, which falls with the charge: sodium in Na+ beside water would freeze its 2s and 2p, and alone
    it would not, so that an interaction energy would hold their correlation.
    """
    total = 0
    for z, charge in zip(scf.system.z, scf.integrals.nuclear_charge, strict=True):
        if charge > 0:
            replaced = int(z) - round(float(charge))
            total += max(0, max(n for n in _NOBLE_GASES if n < z) - replaced) // 2
    return total
