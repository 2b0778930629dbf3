"""Formulas of the features on hand-made integrals; against PySCF they are tested in test_pyscf.py."""

import numpy as np
import pytest

from psigraph.quantum.features.multipoles import moments, traceless_octupole
from psigraph.quantum.features.orbitals import orbital_energies, participation_ratio
from psigraph.quantum.features.populations import lowdin_charge, mulliken
from psigraph.quantum.registry import COMPUTE, select
from psigraph.quantum.scf import Integrals, Orbitals, Scf
from psigraph.quantum.system import System
from psigraph.quantum.table import FEATURES
from psigraph.units import BOHR_RADIUS


def scf_of(integrals: Integrals, spins: tuple[Orbitals, Orbitals], multiplicity: int = 1, dimer: bool = False) -> Scf:
    """An SCF without Psi4: hydrogen atoms, of a dimer one in each monomer."""
    n = len(integrals.nuclear_charge)
    fragment = np.arange(n) if dimer else np.zeros(n, dtype=int)
    positions = integrals.nuclear_position * BOHR_RADIUS
    system = System(np.ones(n, int), positions, fragment, np.zeros(n, bool), (0, 0), (multiplicity, 1))
    return Scf(system, {}, 0.0, integrals, spins, (np.zeros(0), np.zeros(0)))


def point_like(seed: int = 0, n: int = 4) -> tuple[Scf, np.ndarray]:
    """Point-like orthonormal functions at random places, one per atom, with random populations of both spins."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(n, 3))
    position = np.stack([np.diag(place[:, a]) for a in range(3)])
    second = np.stack([np.stack([np.diag(place[:, a] * place[:, b]) for b in range(3)]) for a in range(3)])
    charge, populations = rng.uniform(1, 3, size=n), rng.uniform(0, 2, size=n)
    integrals = Integrals(np.eye(n), position, second, np.arange(n), np.arange(n), np.arange(n), charge, place)
    orbitals = Orbitals(np.diag(np.sqrt(populations / 2)), np.zeros(n), n)
    return scf_of(integrals, (orbitals, orbitals)), populations


def test_moments_of_point_charges():
    """With point-like functions the molecule is a set of point charges Z − population."""
    scf, populations = point_like()
    q, r = scf.integrals.nuclear_charge - populations, scf.integrals.nuclear_position
    quadrupole = np.einsum("i,ia,ib->ab", q, r, r) - np.eye(3) * (q @ (r**2).sum(axis=1)) / 3
    found = moments(scf)
    np.testing.assert_allclose(found["dipole"], q @ r * BOHR_RADIUS, atol=1e-13)
    np.testing.assert_allclose(found["quadrupole"], quadrupole * BOHR_RADIUS**2, atol=1e-13)
    extent = populations @ (r**2).sum(axis=1)
    np.testing.assert_allclose(found["electronic_extent"], extent * BOHR_RADIUS**2, atol=1e-13)


def test_octupole_of_a_charge_is_a_third_derivative():
    """r^7 d³(1/r)/dr_a dr_b dr_c = −15 O_abc for one unit charge: the octupole is what the potential feels."""
    r = np.array([0.3, -0.7, 1.1])
    h, grid = 1e-2, np.array([-1, 1])
    found = traceless_octupole(np.einsum("a,b,c->abc", r, r, r))
    for a, b, c in [(0, 0, 0), (0, 1, 2), (1, 1, 2), (2, 2, 2)]:
        steps = [(i, j, k) for i in grid for j in grid for k in grid]
        points = [r + h * (i * np.eye(3)[a] + j * np.eye(3)[b] + k * np.eye(3)[c]) for i, j, k in steps]
        signs = np.array([i * j * k for i, j, k in steps])
        derivative = signs @ [1 / np.linalg.norm(p) for p in points] / (2 * h) ** 3
        assert derivative * np.linalg.norm(r) ** 7 == pytest.approx(-15 * found[a, b, c], abs=1e-2)
    np.testing.assert_allclose(np.einsum("aab->b", found), 0, atol=1e-14)
    np.testing.assert_allclose(found, np.einsum("abc->cab", found), atol=1e-14)


def test_charges_take_in_every_l():
    """The f function of the last atom is in its charge and in none of s, p, d."""
    scf, populations = point_like()
    found = mulliken(scf)
    expected = np.zeros((4, 3))
    expected[[0, 1, 2], [0, 1, 2]] = populations[:3]
    np.testing.assert_allclose(found["mulliken_spd"], expected)
    np.testing.assert_allclose(found["mulliken_f"], [0, 0, 0, populations[3]])
    np.testing.assert_allclose(found["mulliken_charge"], scf.integrals.nuclear_charge - populations)
    np.testing.assert_allclose(lowdin_charge(scf), scf.integrals.nuclear_charge - populations)


def two_functions(overlap: float, shell: tuple[int, int] = (0, 1), spherical: bool = True) -> Integrals:
    s, zero, pair = np.array([[1, overlap], [overlap, 1]]), np.zeros((2, 2)), np.arange(2)
    place = np.array([[0.0, 0, 0], [0, 0, 9]])
    second = np.zeros((3, 3, 2, 2))
    return Integrals(s, np.stack([zero] * 3), second, pair, 0 * pair, np.array(shell), np.ones(2), place, spherical)


def dimer_of(overlap: float, alpha: Orbitals, beta: Orbitals) -> Scf:
    return scf_of(two_functions(overlap), (alpha, beta), dimer=True)


@pytest.mark.parametrize("spherical", [True, False])
def test_root_of_the_overlap(spherical):
    """XᵀX = S; one shell for each function changes nothing, Cartesian or not."""
    spin = Orbitals(np.eye(2), np.zeros(2), 1)
    root = scf_of(two_functions(0.3, spherical=spherical), (spin, spin)).root_overlap
    plus, minus = np.sqrt(1.3), np.sqrt(0.7)
    np.testing.assert_allclose(root, np.array([[plus + minus, plus - minus], [plus - minus, plus + minus]]) / 2)
    np.testing.assert_allclose(root.T @ root, [[1, 0.3], [0.3, 1]])


@pytest.mark.parametrize("sign", [1, -1])
def test_shared_orbital_has_ratio_two(sign):
    """A symmetric or antisymmetric combination belongs half to each monomer whatever the overlap."""
    s = 0.3
    orbital = Orbitals(np.array([[1], [sign]]) / np.sqrt(2 + 2 * sign * s), np.array([-0.5]), 1)
    assert participation_ratio(dimer_of(s, orbital, orbital)) == pytest.approx(2.0)


def test_share_of_one_function():
    """Löwdin shares of a function that overlaps with another: ((√(1+s) ± √(1−s))/2)²."""
    s = 0.3
    shares = np.array([np.sqrt(1 + s) + np.sqrt(1 - s), np.sqrt(1 + s) - np.sqrt(1 - s)]) ** 2 / 4
    orbital = Orbitals(np.array([[1.0], [0.0]]), np.array([-0.5]), 1)
    assert participation_ratio(dimer_of(s, orbital, orbital)) == pytest.approx(1 / (shares**2).sum())


def test_degenerate_orbitals_are_averaged_and_others_are_not():
    """Two localised orbitals on two monomers: 2 where they are degenerate, 1 where they are not."""
    for gap, expected in ((0.5e-4, 2.0), (2e-4, 1.0)):
        spin = Orbitals(np.eye(2), np.array([-0.5 - gap, -0.5]), 2)
        assert participation_ratio(dimer_of(0.0, spin, spin)) == pytest.approx(expected)


def test_highest_orbital_of_either_spin_counts():
    """UHF: here β holds the higher orbital, on B alone; unequal shares 0.8 and 0.2 give 1/(0.64 + 0.04)."""
    alpha = Orbitals(np.array([[1.0], [0.0]]), np.array([-0.6]), 1)
    beta = Orbitals(np.array([[np.sqrt(0.2)], [np.sqrt(0.8)]]), np.array([-0.4]), 1)
    assert participation_ratio(dimer_of(0.0, alpha, beta)) == pytest.approx(1 / 0.68)


def test_no_ratio_without_electrons_or_a_second_monomer():
    empty, one = Orbitals(np.eye(2), np.zeros(2), 0), Orbitals(np.eye(2), np.zeros(2), 1)
    assert np.isnan(participation_ratio(dimer_of(0.1, empty, empty)))
    assert np.isnan(participation_ratio(scf_of(two_functions(0.1), (one, one))))


def test_frontier_orbitals_of_two_spins():
    """UHF: the HOMO is β's here and the LUMO too; without empty orbitals there is no LUMO."""
    alpha, beta = Orbitals(np.eye(2), np.array([-0.9, 0.7]), 1), Orbitals(np.eye(2), np.array([-0.5, 0.2]), 1)
    np.testing.assert_allclose(
        orbital_energies(scf_of(two_functions(0), (alpha, beta), multiplicity=3)), [-0.5, 0.2, 0.7]
    )
    full = Orbitals(np.eye(2), np.array([-0.9, -0.7]), 2)
    np.testing.assert_array_equal(orbital_energies(scf_of(two_functions(0), (full, full))), [-0.7, np.nan, np.nan])


def test_every_psi4_feature_has_a_function():
    """Interaction energies alone are put together from several systems."""
    import psigraph.quantum.features  # noqa: F401  registers the functions

    wanted = {name for name, feature in FEATURES.items() if feature.program == "psi4"}
    assert wanted - set(COMPUTE) == {"interaction_energy", "interaction_energy_mp2"}
    assert set(COMPUTE) <= wanted


def test_selection():
    """The energy is always there; a feature of bonds brings the bonds; a misspelt name gets a suggestion."""
    assert select([]) == ("energy",)
    assert select(["density_block"]) == ("energy", "bonds", "block_shape", "density_block")
    assert set(select(["interaction_energy_mp2"])) >= {"mp2_correlation", "interaction_energy"}
    assert {name for name, feature in FEATURES.items() if feature.default} <= set(select(["default"]))
    with pytest.raises(ValueError, match="did you mean 'octupole'"):
        select(["octopole"])
