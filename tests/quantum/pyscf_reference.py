"""The same systems for Psi4 and for PySCF, and PySCF's own answers in psigraph's units. Not a test itself.

PySCF's alias def2-svp-jkfit stands for def2-universal-jkfit, which is what Psi4 calls def2-svp-jkfit.
"""

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="PySCF is not installed")
from pyscf import dft, gto, lo, scf

from psigraph.config import Level
from psigraph.quantum.system import System
from psigraph.units import BOHR_RADIUS

TIGHT = Level(e_convergence=1e-11, d_convergence=1e-9).identity()
#: Fitting basis of the SCF, PySCF's name; sets without one are computed without fitting.
FITTING = {"def2-svp": "def2-svp-jkfit", "def2-tzvp": "def2-tzvp-jkfit", "cc-pvdz": "cc-pvdz-jkfit"}


@dataclass(frozen=True)
class Case:
    """Atoms of A and of B [Å], which of them are ghosts, and how to compute them."""

    a: str
    b: str = ""
    charges: tuple[int, int] = (0, 0)
    multiplicities: tuple[int, int] = (1, 1)
    ghost: str = ""  # "a" or "b"
    basis: str = "def2-svp"
    reference: str = "auto"

    @property
    def elements(self) -> list[str]:
        return [atom.split()[0] for atom in self._atoms]

    @property
    def _atoms(self) -> list[str]:
        return [atom for part in (self.a, self.b) if part for atom in part.split(";")]

    @property
    def positions(self) -> np.ndarray:
        """Turned and shifted so that no tensor component is zero by symmetry (N, 3) [Å]."""
        a, b = 0.7, 1.1
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        places = np.array([[float(x) for x in atom.split()[1:]] for atom in self._atoms])
        return places @ (tilt @ turn).T + np.array([0.3, -0.5, 0.8])

    @property
    def system(self) -> System:
        fragment = np.array([0] * len(self.a.split(";")) + [1] * (len(self._atoms) - len(self.a.split(";"))))
        ghost = fragment == {"": 2, "a": 0, "b": 1}[self.ghost]
        z = np.array([gto.charge(e) for e in self.elements])
        return System(z, self.positions, fragment, ghost, self.charges, self.multiplicities)

    def job(self, features: list[str], **level) -> dict:
        """Return the job for psi4_jobs.py."""
        system = self.system
        fitted = {"basis": self.basis, "scf_type": "df" if self.basis in FITTING else "pk", "reference": self.reference}
        return {
            **{name: getattr(system, name).tolist() for name in ("z", "positions", "fragment", "ghost")},
            "charges": self.charges,
            "multiplicities": self.multiplicities,
            "features": features,
            "level": {**TIGHT, **fitted, **level},
        }

    def mean_field(self, field: tuple[float, float, float] = (0, 0, 0)) -> scf.hf.SCF:
        """Return PySCF's converged SCF, in a static electric field [atomic units]."""
        system, heavy = self.system, {e: self.basis for e in self.elements if gto.charge(e) > 36}
        names = [("ghost-" if ghost else "") + e for e, ghost in zip(self.elements, system.ghost, strict=True)]
        mol = gto.M(
            atom=[(e, tuple(x)) for e, x in zip(names, system.positions / BOHR_RADIUS, strict=True)],
            basis=self.basis,
            ecp=heavy,
            charge=system.charge,
            spin=system.multiplicity - 1,
            cart=self.basis.startswith("6-31"),
            unit="Bohr",
            verbose=0,
        )
        kind = scf.RHF if system.multiplicity == 1 else scf.ROHF if self.reference == "rohf" else scf.UHF
        mf = kind(mol)
        if self.basis in FITTING:
            mf = mf.density_fit(auxbasis=FITTING[self.basis])
        if any(field):
            core = mf.get_hcore() + np.einsum("a,amn->mn", field, mol.intor("int1e_r"))
            mf.get_hcore = lambda *_: core
        mf.conv_tol, mf.conv_tol_grad = 1e-12, 1e-7
        mf.kernel()
        assert mf.converged
        return mf


def spin_densities(mf: scf.hf.SCF) -> np.ndarray:
    """Return PySCF's density matrices of α and β (2, M, M)."""
    density = mf.make_rdm1()
    return np.array([density / 2, density / 2]) if density.ndim == 2 else np.array(density)


def system_features(mf: scf.hf.SCF) -> dict[str, np.ndarray]:
    """Energies and moments about the coordinate origin from PySCF's integrals."""
    mol, dm = mf.mol, spin_densities(mf).sum(axis=0)
    charge, place = mol.atom_charges(), mol.atom_coords()
    core, kinetic = mf.get_hcore(), mol.intor("int1e_kin")
    n = mol.nao
    first = charge @ place - np.einsum("amn,nm->a", mol.intor("int1e_r"), dm)
    electrons = np.einsum("abmn,nm->ab", mol.intor("int1e_rr").reshape(3, 3, n, n), dm)
    second = np.einsum("i,ia,ib->ab", charge, place, place) - electrons
    third = np.einsum("i,ia,ib,ic->abc", charge, place, place, place)
    third -= np.einsum("abcmn,nm->abc", mol.intor("int1e_rrr").reshape(3, 3, 3, n, n), dm)
    trace = np.einsum("abb->a", third)
    for a, b, c in np.ndindex(3, 3, 3):
        third[a, b, c] -= (trace[a] * (b == c) + trace[b] * (a == c) + trace[c] * (a == b)) / 5
    energies, occupations = np.ravel(mf.mo_energy), np.ravel(mf.mo_occ)
    homo, lumo = energies[occupations > 0].max(), energies[occupations == 0].min()
    kinetic_energy = np.sum(kinetic * dm)
    return {
        "energy": mf.e_tot,
        "energy_components": [mol.energy_nuc(), kinetic_energy, np.sum((core - kinetic) * dm), mf.energy_elec()[1]],
        "orbital_energies": [homo, lumo, lumo - homo],
        "dipole": first * BOHR_RADIUS,
        "quadrupole": (second - np.eye(3) * np.trace(second) / 3) * BOHR_RADIUS**2,
        "octupole": third * BOHR_RADIUS**3,
        "electronic_extent": np.trace(electrons) * BOHR_RADIUS**2,
    }


def atom_features(mf: scf.hf.SCF) -> dict[str, np.ndarray]:
    """Populations by PySCF's own analysis, and densities at the nuclei by its grid code."""
    mol, dm = mf.mol, spin_densities(mf).sum(axis=0)
    population, charges = scf.hf.mulliken_pop(mol, dm, mf.get_ovlp(), verbose=0)
    by_l = np.zeros((mol.natm, 5))
    for value, (atom, _, shell, _) in zip(population, mol.ao_labels(fmt=None), strict=True):
        by_l[atom, "spdfg".index(shell[-1])] += value
    lowdin = np.zeros(mol.natm)
    np.add.at(lowdin, [label[0] for label in mol.ao_labels(fmt=None)], np.diag(lowdin_densities(mf).sum(axis=0)))
    return {
        "mulliken_spd": by_l[:, :3],
        "mulliken_f": by_l[:, 3],
        "mulliken_charge": charges,
        "lowdin_charge": mol.atom_charges() - lowdin,
        "density_at_nucleus": density_at(mf, mol.atom_coords()),
    }


def density_at(mf: scf.hf.SCF, points: np.ndarray) -> np.ndarray:
    """Return the density [electrons/Å³] at points [bohr]."""
    values = dft.numint.eval_ao(mf.mol, points)
    return dft.numint.eval_rho(mf.mol, values, spin_densities(mf).sum(axis=0)) / BOHR_RADIUS**3


def lowdin_densities(mf: scf.hf.SCF) -> np.ndarray:
    """Return the density matrices of α and β in PySCF's Löwdin basis (2, M, M)."""
    inverse_root = np.linalg.inv(lo.orth.lowdin(mf.get_ovlp()))
    return np.array([inverse_root @ d @ inverse_root.T for d in spin_densities(mf)])


def bond_features(mf: scf.hf.SCF, pairs: np.ndarray) -> dict[str, np.ndarray]:
    """Bond orders as sums over the two spins, and blocks in Psi4's order of functions, with plain loops."""
    mol, overlap = mf.mol, mf.get_ovlp()
    slices = [slice(*row[2:]) for row in mol.aoslice_by_atom()]
    found: dict[str, list] = {"mayer_index": [], "wiberg_lowdin": [], "midpoint_density": [], "density_block": []}
    lowdin = lowdin_densities(mf)
    for i, j in pairs:
        a, b = slices[i], slices[j]
        products = [d @ overlap for d in spin_densities(mf)]
        found["mayer_index"].append(2 * sum(np.trace(p[a, b] @ p[b, a]) for p in products))
        found["wiberg_lowdin"].append(2 * sum((d[a, b] ** 2).sum() for d in lowdin))
        found["midpoint_density"].append(density_at(mf, mol.atom_coords()[[i, j]].mean(axis=0)[None])[0])
        block = lowdin.sum(axis=0)[np.ix_(psi4_order(mol, i), psi4_order(mol, j))]
        found["density_block"].extend(block.ravel())
    return {name: np.array(values) for name, values in found.items()}


def psi4_order(mol: gto.Mole, atom: int) -> list[int]:
    """Return PySCF's functions of an atom in Psi4's order of m: 0, +1, −1, ...; shells of both stand by l."""
    order, start = [], mol.aoslice_by_atom()[atom][2]
    for shell in range(*mol.aoslice_by_atom()[atom][:2]):
        n_l = mol.bas_angular(shell)
        m = [0] + [sign * k for k in range(1, n_l + 1) for sign in (1, -1)]
        place = {1: 0, -1: 1, 0: 2} if n_l == 1 else {k: k + n_l for k in m}  # PySCF: x, y, z, and −l ... l
        for _ in range(mol.bas_nctr(shell)):
            order += [start + place[k] for k in m]
            start += 2 * n_l + 1
    return order
