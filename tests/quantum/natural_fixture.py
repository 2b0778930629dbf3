"""An `Scf` from a PySCF mean field: lets tests of natural orbitals run without Psi4."""

from functools import cache

import numpy as np
from pyscf import gto, scf

from psigraph.quantum.scf import Integrals, Orbitals, Scf
from psigraph.quantum.system import System
from psigraph.structures.elements import NUMBERS
from psigraph.units import BOHR_RADIUS

#: name -> (atoms in Å, charge, multiplicity)
MOLECULES = {
    "water": ("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", 0, 1),
    "ammonia": ("N 0 0 0; H 0 0.94 -0.38; H 0.814 -0.47 -0.38; H -0.814 -0.47 -0.38", 0, 1),
    "methane": ("C 0 0 0; H .629 .629 .629; H -.629 -.629 .629; H -.629 .629 -.629; H .629 -.629 -.629", 0, 1),
    "hydrogen fluoride": ("F 0 0 0; H 0 0 0.917", 0, 1),
    "ethene": (
        "C 0 0 0.667; C 0 0 -0.667; H 0 0.923 1.238; H 0 -0.923 1.238; H 0 0.923 -1.238; H 0 -0.923 -1.238", 0, 1,
    ),
    "ethyne": ("C 0 0 0.6; C 0 0 -0.6; H 0 0 1.66; H 0 0 -1.66", 0, 1),
    "formaldehyde": ("C 0 0 0; O 0 0 1.205; H 0 0.943 -0.588; H 0 -0.943 -0.588", 0, 1),
    "carbon dioxide": ("O 0 0 1.162; C 0 0 0; O 0 0 -1.162", 0, 1),
    "nitrous oxide": ("N 0 0 -1.128; N 0 0 0; O 0 0 1.184", 0, 1),
    "carbon monoxide": ("C 0 0 0; O 0 0 1.128", 0, 1),
    # Pople-Gordon standard geometry, as in the NBO program's tutorial
    "methylamine": (
        "C 0.052902 0.711852 0; N 0.052902 -0.758148 0; H -0.974760 1.075185 0; H 0.566733 1.075185 0.889981; "
        "H 0.566733 1.075185 -0.889981; H -0.423217 -1.094815 -0.824662; H -0.423217 -1.094815 0.824662", 0, 1,
    ),
    "formamide": (
        "C 0 0.4192 0; O 1.1985 0.2421 0; N -0.9379 -0.5625 0; H -0.4397 1.4346 0; H -0.6463 -1.5248 0; "
        "H -1.9145 -0.3404 0", 0, 1,
    ),
    "ozone": ("O 0 1.088 0; O 0 0 0.664; O 0 -1.088 0", 0, 1),
    "acetate": (
        "C 0 0 0; C 0 0 1.55; O 1.12 0 2.12; O -1.12 0 2.12; H 1.03 0 -0.36; H -0.515 0.89 -0.36; "
        "H -0.515 -0.89 -0.36", -1, 1,
    ),
    "borane ammonia": (
        "N 0 0 0; B 0 0 1.66; H 0 0.95 -0.35; H 0.823 -0.475 -0.35; H -0.823 -0.475 -0.35; H 0 -1.17 1.95; "
        "H 1.013 0.585 1.95; H -1.013 0.585 1.95", 0, 1,
    ),
    "water dimer": (  # S22: P. Jurecka et al., Phys. Chem. Chem. Phys. 8, 1985 (2006)
        "O -1.551007 -0.114520 0; H -1.934259 0.762503 0; H -0.599677 0.040712 0; O 1.350625 0.111469 0; "
        "H 1.680398 -0.373741 -0.758561; H 1.680398 -0.373741 0.758561", 0, 1,
    ),
    "diborane": (
        "B 0 0 0.88; B 0 0 -0.88; H 0.97 0 0; H -0.97 0 0; H 0 1.04 1.47; H 0 -1.04 1.47; H 0 1.04 -1.47; "
        "H 0 -1.04 -1.47", 0, 1,
    ),
    "lithium fluoride": ("Li 0 0 0; F 0 0 1.564", 0, 1),
    "hydrogen iodide": ("H 0 0 0; I 0 0 1.609", 0, 1),  # effective core potential
    "zinc chloride": ("Zn 0 0 0; Cl 0 0 2.07; Cl 0 0 -2.07", 0, 1),
    "methyl": ("C 0 0 0; H 1.079 0 0; H -0.5395 0.9344 0; H -0.5395 -0.9344 0", 0, 2),
    "oxygen": ("O 0 0 0; O 0 0 1.208", 0, 3),
    "hydrogen": ("H 0 0 0", 0, 2),
    "helium triplet": ("He 0 0 0", 0, 3),
    "benzene": (
        "C 0 1.396 0; C 1.209 0.698 0; C 1.209 -0.698 0; C 0 -1.396 0; C -1.209 -0.698 0; C -1.209 0.698 0; "
        "H 0 2.48 0; H 2.148 1.24 0; H 2.148 -1.24 0; H 0 -2.48 0; H -2.148 -1.24 0; H -2.148 1.24 0", 0, 1,
    ),
}  # fmt: skip


@cache
def mean_field_of(name: str, basis: str = "def2-svp"):
    """Return the converged mean field of a molecule of the list, computed once per process."""
    atoms, charge, multiplicity = MOLECULES[name]
    return run_pyscf(atoms, basis, charge, multiplicity)


@cache
def scf_named(name: str, basis: str = "def2-svp") -> Scf:
    """Return `mean_field_of` as an `Scf`."""
    fragment = [0, 0, 0, 1, 1, 1] if name == "water dimer" else None
    return scf_of_pyscf(mean_field_of(name, basis), fragment)


def run_pyscf(atoms: str, basis: str = "def2-svp", charge: int = 0, multiplicity: int = 1):
    """Return a converged Hartree-Fock mean field without density fitting."""
    heavy = {a.split()[0] for a in atoms.split(";")} & {"I"}
    molecule = gto.M(
        atom=atoms, basis=basis, charge=charge, spin=multiplicity - 1, ecp=dict.fromkeys(heavy, basis), verbose=0
    )
    mean_field = (scf.RHF if multiplicity == 1 else scf.UHF)(molecule)
    mean_field.conv_tol, mean_field.conv_tol_grad = 1e-12, 1e-8
    mean_field.kernel()
    assert mean_field.converged
    return mean_field


def scf_of_pyscf(mean_field, fragment=None) -> Scf:
    """Return the mean field as an `Scf`; functions of a shell stand in Psi4's order m = 0, +1, -1, ..."""
    molecule = mean_field.mol
    order, momenta, atoms, shells = [], [], [], []
    start = shell = 0
    for i in range(molecule.nbas):
        momentum = molecule.bas_angular(i)
        # PySCF: p as x, y, z; others m = -l .. l
        inner = [momentum, *(momentum + sign * m for m in range(1, momentum + 1) for sign in (1, -1))]
        inner = [2, 0, 1] if momentum == 1 else inner
        for _ in range(molecule.bas_nctr(i)):
            order += [start + k for k in inner]
            momenta += [momentum] * len(inner)
            atoms += [molecule.bas_atom(i)] * len(inner)
            shells += [shell] * len(inner)
            start, shell = start + len(inner), shell + 1
    order = np.array(order)
    unrestricted = np.ndim(mean_field.mo_coeff) == 3
    coefficients = mean_field.mo_coeff if unrestricted else [mean_field.mo_coeff] * 2
    energies = mean_field.mo_energy if unrestricted else [mean_field.mo_energy] * 2
    fock = mean_field.get_fock()
    focks = fock if unrestricted else [fock] * 2
    spins = tuple(
        Orbitals(np.asarray(c)[order], np.asarray(e), n)
        for c, e, n in zip(coefficients, energies, molecule.nelec, strict=True)
    )
    z = np.array([NUMBERS[molecule.atom_pure_symbol(i)] for i in range(molecule.natm)])
    fragment = np.zeros(len(z), dtype=int) if fragment is None else np.array(fragment)
    system = System(
        z=z,
        positions=molecule.atom_coords() * BOHR_RADIUS,
        fragment=fragment,
        ghost=np.zeros(len(z), dtype=bool),
        charges=(molecule.charge, 0),
        multiplicities=(molecule.spin + 1, 1),
    )
    zeros = np.zeros((len(order), len(order)))
    integrals = Integrals(
        overlap=mean_field.get_ovlp()[np.ix_(order, order)],
        position=np.stack([zeros] * 3),
        second=np.zeros((3, 3, *zeros.shape)),
        atom=np.array(atoms),
        angular_momentum=np.array(momenta),
        shell=np.array(shells),
        nuclear_charge=molecule.atom_charges().astype(float),
        nuclear_position=molecule.atom_coords(),
    )
    return Scf(
        system=system,
        level={},
        energy=float(mean_field.e_tot),
        integrals=integrals,
        spins=spins,
        fock=tuple(np.asarray(f)[np.ix_(order, order)] for f in focks),
    )
