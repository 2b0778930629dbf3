import numpy as np
import pytest
import torch
from e3nn import o3

from psigraph.graphs.multipoles import (
    QUADRUPOLE_BASIS,
    field_features,
    field_representation,
    quadrupole_components,
    quadrupole_tensor,
    shift_moments,
    traceless,
)


def random_quadrupole(rng):
    return traceless(rng.normal(size=(3, 3)))


def point_moments(charges, positions, origin):
    """Σ q r and Σ q (r r - δ r²/3) about `origin`, term by term."""
    dipole, quadrupole = np.zeros(3), np.zeros((3, 3))
    for q, r in zip(charges, positions - origin, strict=True):
        dipole += q * r
        for a in range(3):
            for b in range(3):
                quadrupole[a, b] += q * (r[a] * r[b] - (r @ r / 3 if a == b else 0))
    return dipole, quadrupole


def test_components_are_those_of_reduced_tensor_products():
    basis = o3.ReducedTensorProducts("ij=ji", i="1o")
    assert str(basis.irreps_out) == "1x0e+1x2e"
    np.testing.assert_allclose(QUADRUPOLE_BASIS, basis.change_of_basis[1:].numpy(), atol=1e-6)


def test_components_are_root_five_wigner_3j():
    w = o3.wigner_3j(1, 1, 2, dtype=torch.float64).numpy()  # (3, 3, 5)
    np.testing.assert_allclose(QUADRUPOLE_BASIS, np.sqrt(5) * w.transpose(2, 0, 1), atol=1e-7)


def test_components_of_r_r_are_the_harmonics_of_r():
    r = np.array([0.3, -1.1, 0.7])
    harmonics = o3.spherical_harmonics(2, torch.tensor(r), normalize=False, normalization="component").numpy()
    np.testing.assert_allclose(quadrupole_components(np.outer(r, r)), harmonics * np.sqrt(2 / 15), atol=1e-12)


@pytest.mark.parametrize("mirror", [1, -1])
def test_features_turn_with_e3nn_wigner_matrices(mirror):
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    for _ in range(5):
        matrix = mirror * o3.rand_matrix(dtype=torch.float64)
        wigner = o3.Irreps("1x1o+1x2e").D_from_matrix(matrix).numpy()
        dipole, quadrupole, r = rng.normal(size=3), random_quadrupole(rng), matrix.numpy()
        turned = field_features(r @ dipole, r @ quadrupole @ r.T, 0.1)
        np.testing.assert_allclose(turned, wigner @ field_features(dipole, quadrupole, 0.1), atol=2e-6)
        np.testing.assert_allclose(field_representation(r), wigner, atol=5e-6)
        np.testing.assert_allclose(
            turned, field_representation(r) @ field_features(dipole, quadrupole, 0.1), atol=1e-14
        )


def test_change_of_basis_is_orthonormal_and_has_an_inverse():
    quadrupole = random_quadrupole(np.random.default_rng(2))
    components = quadrupole_components(quadrupole)
    assert np.isclose(np.linalg.norm(components), np.linalg.norm(quadrupole))
    np.testing.assert_allclose(quadrupole_tensor(components), quadrupole, atol=1e-15)


def test_trace_does_not_enter():
    quadrupole = random_quadrupole(np.random.default_rng(3))
    np.testing.assert_allclose(quadrupole_components(quadrupole + 7 * np.eye(3)), quadrupole_components(quadrupole))


def test_scales():
    features = field_features(np.array([1.0, 2.0, 3.0]), np.diag([-1.0, 2.0, -1.0]), 0.1)
    np.testing.assert_allclose(features, [0.1, 0.2, 0.3, 0, 0, np.sqrt(6) * 0.01, 0, 0], atol=1e-15)


@pytest.mark.parametrize("total", [0.0, 1.0, -2.0])
def test_shift_equals_moments_of_point_charges_about_the_new_origin(total):
    rng = np.random.default_rng(4)
    charges, positions = rng.normal(size=6), rng.normal(size=(6, 3)) * 2
    charges += (total - charges.sum()) / 6
    old, new = rng.normal(size=3), rng.normal(size=3) * 3
    shifted = shift_moments(total, *point_moments(charges, positions, old), new - old)
    expected = point_moments(charges, positions, new)
    np.testing.assert_allclose(shifted[0], expected[0], atol=1e-12)
    np.testing.assert_allclose(shifted[1], expected[1], atol=1e-12)
    assert abs(np.trace(shifted[1])) < 1e-12


def test_many_at_once_are_each_alone():
    rng = np.random.default_rng(8)
    charge, dipole, shift = rng.normal(size=9), rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
    quadrupole = np.stack([random_quadrupole(rng) for _ in range(9)])
    together = field_features(*shift_moments(charge, dipole, quadrupole, shift), 0.1)
    for i in range(9):
        alone = field_features(*shift_moments(charge[i], dipole[i], quadrupole[i], shift[i]), 0.1)
        np.testing.assert_array_equal(together[i], alone)
