"""Natural bond orbitals and donor-acceptor energies.

J. P. Foster, F. Weinhold, J. Am. Chem. Soc. 102, 7211 (1980); A. E. Reed, L. A. Curtiss, F. Weinhold, Chem. Rev. 88,
899 (1988). `lewis.py` finds the Lewis structure in the valence natural atomic orbitals (NAOs). Here its hybrids take in
the Rydberg NAOs, are made orthogonal on each atom, and paired to bonds and antibonds; what is left of an atom are lone
vacancies and Rydberg orbitals. These diagonalise the Fock matrix, not the density, which is zero for most of them and
does not define them. An open shell has a structure of its own for each spin. Three-centre bonds are not looked for:
diborane gets two two-centre bonds in place of its bridges.

Shapes: M natural atomic orbitals, as many natural bond orbitals (NBOs), N atoms.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from psigraph.quantum.lewis import LewisOrbital, lewis_structure
from psigraph.quantum.natural import CORE, RYDBERG, VALENCE, NaturalOrbitals
from psigraph.quantum.scf import Scf
from psigraph.quantum.shells import atomic_shells
from psigraph.units import energy_factor

CORE_ORBITAL, LONE_PAIR, BOND, ANTIBOND, RYDBERG_ORBITAL, LONE_VACANCY = range(6)
#: What donates: Lewis-type orbitals.
LEWIS_TYPES = (CORE_ORBITAL, LONE_PAIR, BOND)
KCAL_PER_HARTREE = energy_factor("hartree", "kcal/mol")
#: Orbitals of the same atoms within this of each other, in electrons and hartree, count as equal.
EQUAL = 1e-5
#: Below this an orbital that the structure needs is too empty to take in Rydberg orbitals, of a full occupancy.
MIN_OCCUPANCY = 0.2


@dataclass(frozen=True)
class BondOrbitals:
    """The NBOs of one spin, or of both in a closed shell."""

    spin: int  # 0 both, 1 α, -1 β
    kind: np.ndarray  # (M,) CORE_ORBITAL .. LONE_VACANCY
    atoms: np.ndarray  # (M, 2) atoms; the second is -1 for one centre
    coefficients: np.ndarray  # (M, M) columns are NBOs in NAOs, orthonormal
    occupancy: np.ndarray  # (M,) electrons
    fock: np.ndarray  # (M, M) hartree, in NBOs
    share: np.ndarray  # (M, 2) |c|² on the two atoms
    character: np.ndarray  # (M, 2, 3) s, p, d share of the hybrid on each atom

    @cached_property
    def stabilisation(self) -> np.ndarray:
        """E(2) = q F_ij² / (e_j - e_i) (M, M) [kcal/mol], donor i, acceptor j; 0 where i is no donor or j no acceptor.

        Reed, Curtiss, Weinhold (1988); q is 2 for a closed shell and 1 for one spin. An acceptor below its
        donor, for which perturbation theory has no meaning, counts as 0. Orbitals of one kind on the same atoms with
        the same occupancy and energy (two lone pairs of HF) are defined up to a rotation among themselves only: the sum
        over them stands at the first one.
        """
        energy = np.diagonal(self.fock)
        donor = np.isin(self.kind, LEWIS_TYPES)
        gap = energy[None, :] - energy[:, None]
        allowed = donor[:, None] & ~donor[None, :] & (gap > 0)
        electrons = 2.0 if self.spin == 0 else 1.0
        single = np.where(allowed, electrons * self.fock**2 / np.where(allowed, gap, 1.0), 0.0) * KCAL_PER_HARTREE
        first = self._first_equal
        summed = np.zeros_like(single)
        np.add.at(summed, (first[:, None], first[None, :]), single)
        return summed

    @property
    def _first_equal(self) -> np.ndarray:
        """The first orbital (M,) that each orbital equals in kind, atoms, occupancy and energy."""
        energy = np.diagonal(self.fock)
        key = np.column_stack([self.kind, self.atoms])
        equal = (key[:, None] == key[None, :]).all(axis=-1)
        for values in (self.occupancy, energy):
            equal &= np.abs(values[:, None] - values[None, :]) < EQUAL
        return equal.argmax(axis=1)


def bond_orbitals(scf: Scf, nao: NaturalOrbitals) -> tuple[BondOrbitals, ...]:
    """Return the NBOs of an SCF: one set for a closed shell, one for α and one for β of an open one."""
    if scf.closed_shell:
        spins = [(0, 2.0, scf.spins[0], scf.fock[0])]
    else:
        spins = [(1, 1.0, scf.spins[0], scf.fock[0]), (-1, 1.0, scf.spins[1], scf.fock[1])]
    core = np.array([sum((2 * m + 1) * n for m, n in enumerate(atomic_shells(int(z))[0])) for z in scf.system.z])
    electrons = scf.system.z - 2.0 * core  # (N,) of the neutral atoms' valence shells
    result = []
    for (spin, full, orbitals, fock), density in zip(spins, nao.densities, strict=True):
        fock = nao.coefficients.T @ fock @ nao.coefficients
        coefficients, kind, atoms = _build(nao, density / full, fock, orbitals.occupied, electrons)
        result.append(_describe(spin, nao, density, coefficients.T @ fock @ coefficients, coefficients, kind, atoms))
    return tuple(result)


def _build(
    nao: NaturalOrbitals, density: np.ndarray, fock: np.ndarray, occupied: int, electrons: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return NBOs (M, M) as columns in NAOs, their kinds (M,) and atoms (M, 2); `density` in units of a full one."""
    core, valence = np.flatnonzero(nao.kind == CORE), np.flatnonzero(nao.kind == VALENCE)
    pairs = occupied - len(core)
    structure = lewis_structure(density[np.ix_(valence, valence)], nao.atom[valence], max(pairs, 0), electrons)
    hybrids, ends = _hybrids(nao, density, structure, valence)
    columns: list[np.ndarray] = []
    kinds: list[int] = []
    places: list[tuple[int, int]] = []

    def add(vectors: np.ndarray, kind: int, atoms: tuple[int, int]) -> None:
        columns.append(vectors)
        kinds.extend([kind] * vectors.shape[1])
        places.extend([atoms] * vectors.shape[1])

    for index in core:
        add(np.eye(len(density))[:, [index]], CORE_ORBITAL, (int(nao.atom[index]), -1))
    for orbital, end in zip(structure, ends, strict=True):
        if len(end) == 1:
            add(hybrids[:, end], LONE_PAIR, (orbital.atoms[0], -1))
            continue
        _, vectors = np.linalg.eigh(hybrids[:, end].T @ density @ hybrids[:, end])
        bond, antibond = (hybrids[:, end] @ vectors[:, [k]] for k in (1, 0))
        add(bond, BOND, (orbital.atoms[0], orbital.atoms[1]))
        add(antibond, ANTIBOND, (orbital.atoms[0], orbital.atoms[1]))
    for atom in np.unique(nao.atom):
        mine = [
            h
            for orbital, end in zip(structure, ends, strict=True)
            for a, h in zip(orbital.atoms, end, strict=True)
            if a == atom
        ]
        vacancies, rydbergs = _rest(nao, fock, hybrids[:, mine], int(atom))
        add(vacancies, LONE_VACANCY, (int(atom), -1))
        add(rydbergs, RYDBERG_ORBITAL, (int(atom), -1))
    return np.concatenate(columns, axis=1), np.array(kinds), np.array(places).reshape(-1, 2)


def _hybrids(
    nao: NaturalOrbitals, density: np.ndarray, structure: tuple[LewisOrbital, ...], valence: np.ndarray
) -> tuple[np.ndarray, list[list[int]]]:
    """Return the hybrids (M, H) of a structure, orthonormal, and per orbital which of them it is made of.

    To first order an orbital v of occupancy q takes in the Rydberg NAOs r of its own atoms with (r|density|v)/q.
    """
    if not structure:
        return np.zeros((len(density), 0)), []
    vectors = np.zeros((len(density), len(structure)))
    vectors[valence] = np.array([orbital.vector for orbital in structure]).T
    occupancy = np.array([orbital.occupancy for orbital in structure])
    own = np.array([np.isin(nao.atom, orbital.atoms) for orbital in structure]).T  # (M, structure)
    usable = own & (nao.kind == RYDBERG)[:, None] & (occupancy > MIN_OCCUPANCY)
    vectors += np.where(usable, density @ vectors / np.maximum(occupancy, MIN_OCCUPANCY), 0.0)
    parts: list[np.ndarray] = []
    ends: list[list[int]] = []
    owner: list[int] = []
    for k, orbital in enumerate(structure):
        ends.append(list(range(len(parts), len(parts) + len(orbital.atoms))))
        for atom in orbital.atoms:
            part = np.where(nao.atom == atom, vectors[:, k], 0.0)
            parts.append(part / np.linalg.norm(part))
            owner.append(atom)
    hybrids = np.array(parts).T
    overlap = hybrids.T @ hybrids  # block-diagonal by atom
    values, basis = np.linalg.eigh(overlap)
    return hybrids @ ((basis / np.sqrt(values)) @ basis.T), ends


def _rest(nao: NaturalOrbitals, fock: np.ndarray, hybrids: np.ndarray, atom: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lone vacancies (M, v) and the Rydberg orbitals (M, r) of an atom: what its hybrids leave.

    Vacancies are as many as valence NAOs are unused, and as close to these as can be; both sets diagonalise the Fock
    matrix.
    """
    places = np.flatnonzero((nao.atom == atom) & (nao.kind != CORE))
    used = hybrids[places]  # (n, k)
    left = np.linalg.svd(used)[0][:, used.shape[1] :]  # (n, n - k)
    is_valence = nao.kind[places] == VALENCE
    count = max(int(is_valence.sum()) - used.shape[1], 0)
    turn = np.linalg.svd(left[is_valence])[2].T if is_valence.any() else np.eye(left.shape[1])
    left = left @ turn
    block = fock[np.ix_(places, places)]
    result = []
    for part in (left[:, :count], left[:, count:]):
        _, vectors = np.linalg.eigh(part.T @ block @ part)
        orbitals = np.zeros((len(fock), part.shape[1]))
        orbitals[places] = part @ vectors
        result.append(orbitals)
    return result[0], result[1]


def _describe(
    spin: int,
    nao: NaturalOrbitals,
    density: np.ndarray,
    fock: np.ndarray,
    coefficients: np.ndarray,
    kind: np.ndarray,
    atoms: np.ndarray,
) -> BondOrbitals:
    """Return the NBOs sorted by kind, atoms and occupancy, with what is stored of them."""
    occupancy = np.einsum("mk,mk->k", coefficients, density @ coefficients)
    order = np.lexsort((-occupancy, atoms[:, 1], atoms[:, 0], kind))
    coefficients, kind, atoms = coefficients[:, order], kind[order], atoms[order]
    squares = coefficients**2
    character = np.zeros((len(kind), 2, 4))
    for end in (0, 1):
        mine = squares * (nao.atom[:, None] == atoms[:, end])
        for momentum in range(3):
            character[:, end, momentum] = mine[nao.angular_momentum == momentum].sum(axis=0)
        character[:, end, 3] = mine.sum(axis=0)
    share = character[:, :, 3]
    return BondOrbitals(
        spin=spin,
        kind=kind,
        atoms=atoms,
        coefficients=coefficients,
        occupancy=occupancy[order],
        fock=fock[np.ix_(order, order)],
        share=share,
        character=character[:, :, :3] / np.where(share > 0, share, 1.0)[:, :, None],
    )
