"""Formulas of features.py on hand-made integrals; against PySCF they are tested in test_pyscf.py."""

import numpy as np
import pytest

from psigraph.quantum.features import Integrals, Orbitals, lowdin_shares, moments, mulliken, participation_ratio
from psigraph.units import BOHR_RADIUS


def hand_made(seed: int = 0, n: int = 4) -> tuple[Integrals, np.ndarray]:
    """Point-like orthonormal functions at random places, one per atom, holding random populations."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(n, 3))
    position = np.stack([np.diag(place[:, a]) for a in range(3)])
    second = np.stack([np.stack([np.diag(place[:, a] * place[:, b]) for b in range(3)]) for a in range(3)])
    integrals = Integrals(
        overlap=np.eye(n),
        position=position,
        second=second,
        atom=np.arange(n),
        angular_momentum=np.array([0, 1, 2, 3]),
        nuclear_charge=rng.uniform(1, 3, size=n),
        nuclear_position=place,
    )
    return integrals, np.diag(rng.uniform(0, 2, size=n))


def test_moments_of_point_charges():
    """With point-like functions the molecule is a set of point charges Z − population."""
    integrals, density = hand_made()
    origin = np.array([0.3, -0.2, 1.0])
    q = integrals.nuclear_charge - np.diag(density)
    r = integrals.nuclear_position - origin
    quadrupole = np.einsum("i,ia,ib->ab", q, r, r) - np.eye(3) * (q @ (r**2).sum(axis=1)) / 3
    found_dipole, found_quadrupole = moments(integrals, density, origin)
    np.testing.assert_allclose(found_dipole, q @ r * BOHR_RADIUS, atol=1e-13)
    np.testing.assert_allclose(found_quadrupole, quadrupole * BOHR_RADIUS**2, atol=1e-13)


def test_mulliken_charge_takes_in_every_l():
    """The f function of the last atom is in its charge and in none of the three columns."""
    integrals, density = hand_made()
    spd, charge = mulliken(integrals, density)
    expected = np.zeros((4, 3))
    expected[[0, 1, 2], [0, 1, 2]] = np.diag(density)[:3]
    np.testing.assert_allclose(spd, expected)
    np.testing.assert_allclose(charge, integrals.nuclear_charge - np.diag(density))


def two_functions(overlap: float) -> Integrals:
    zero = np.zeros((2, 2))
    return Integrals(
        overlap=np.array([[1, overlap], [overlap, 1]]),
        position=np.stack([zero] * 3),
        second=np.zeros((3, 3, 2, 2)),
        atom=np.arange(2),
        angular_momentum=np.zeros(2, dtype=int),
        nuclear_charge=np.ones(2),
        nuclear_position=np.zeros((2, 3)),
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_shared_orbital_has_ratio_two(sign):
    """A symmetric or antisymmetric combination belongs half to each monomer whatever the overlap."""
    s = 0.3
    orbital = Orbitals(np.array([[1], [sign]]) / np.sqrt(2 + 2 * sign * s), np.array([-0.5]))
    integrals = two_functions(s)
    np.testing.assert_allclose(lowdin_shares(integrals, orbital.coefficients, np.array([0, 1])), [[0.5, 0.5]])
    assert participation_ratio(integrals, (orbital, orbital), np.array([0, 1])) == pytest.approx(2.0)


def test_lowdin_shares_of_one_function():
    """S^½ of [[1, s], [s, 1]] has the elements (√(1+s) ± √(1−s))/2; shares are their squares."""
    s = 0.3
    plus, minus = np.sqrt(1 + s), np.sqrt(1 - s)
    shares = lowdin_shares(two_functions(s), np.array([[1.0], [0.0]]), np.array([0, 1]))
    np.testing.assert_allclose(shares[0], [((plus + minus) / 2) ** 2, ((plus - minus) / 2) ** 2])


def test_degenerate_orbitals_are_averaged_and_others_are_not():
    """Two localised orbitals on two monomers: 2 where they are degenerate, 1 where they are not."""
    integrals = two_functions(0.0)
    fragment = np.array([0, 1])
    for gap, expected in ((0.5e-4, 2.0), (2e-4, 1.0)):
        spin = Orbitals(np.eye(2), np.array([-0.5 - gap, -0.5]))
        assert participation_ratio(integrals, (spin, spin), fragment) == pytest.approx(expected)


def test_highest_orbital_of_either_spin_counts():
    """UHF: here β holds the higher orbital, on B alone; unequal shares 0.8 and 0.2 give 1/(0.64 + 0.04)."""
    integrals = two_functions(0.0)
    alpha = Orbitals(np.array([[1.0], [0.0]]), np.array([-0.6]))
    beta = Orbitals(np.array([[np.sqrt(0.2)], [np.sqrt(0.8)]]), np.array([-0.4]))
    assert participation_ratio(integrals, (alpha, beta), np.array([0, 1])) == pytest.approx(1 / 0.68)


def test_no_electrons_no_ratio():
    empty = Orbitals(np.zeros((2, 0)), np.zeros(0))
    assert np.isnan(participation_ratio(two_functions(0.1), (empty, empty), np.array([0, 1])))
