"""D4 dispersion energies, by the dftd4 library, with its parameters for Hartree-Fock.

E. Caldeweyher et al., J. Chem. Phys. 150, 154122 (2019); three-body terms included.

The interaction is the published one, dimer - A - B. The dimer's atomic charges come from electronegativity
equilibration, which moves some charge between different molecules at any distance, so a small constant remains as they
part (over S66: 0.07 kcal/mol on average, 0.4 at most), where dispersion itself goes to zero.
"""

import numpy as np

from psigraph.quantum.system import System
from psigraph.structures.model import FRAGMENT_A, FRAGMENT_B
from psigraph.units import BOHR_RADIUS

METHOD = "hf"


def dispersion_d4(system: System) -> float:
    """Return the dispersion energy of a molecule, or the dispersion part of a dimer's interaction: dimer - A - B.

    In hartree. Raises RuntimeError where the library cannot do it.
    """
    everything = np.ones(system.n_atoms, dtype=bool)
    energy = _energy(system, everything, sum(system.charges) if system.is_dimer else system.charges[FRAGMENT_A])
    if not system.is_dimer:
        return energy
    parts = [_energy(system, system.fragment == f, system.charges[f]) for f in (FRAGMENT_A, FRAGMENT_B)]
    return energy - parts[0] - parts[1]


def _energy(system: System, atoms: np.ndarray, charge: int) -> float:
    from dftd4.interface import DampingParam, DispersionModel

    model = DispersionModel(system.z[atoms], system.positions[atoms] / BOHR_RADIUS, charge=float(charge))
    return float(model.get_dispersion(DampingParam(method=METHOD), grad=False)["energy"])
