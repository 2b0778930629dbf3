"""Polarisabilities against finite differences of PySCF's dipole in a field."""

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="PySCF is not installed")
from pyscf_reference import Case, system_features

from psigraph.units import BOHR_RADIUS

FIELD = 1e-3  # atomic units
WATER, OTHER = "O 0 0 0; H 0 0.757 0.587; H 0.2 -0.757 0.587", "O 0 0 -2.9; H 0 0 -1.94; H 0.93 0 -3.14"
CASES = {
    "water": Case(WATER),
    "water beside ghosts": Case(WATER, OTHER, ghost="b"),
    "methyl": Case("C 0 0 0; H 1.079 0 0; H -0.5395 0.9344 0; H -0.5395 -0.9344 0", multiplicities=(2, 1)),
    "hydrogen iodide": Case("H 0 0 0; I 0 0 1.609"),  # core potential
    "formaldehyde": Case("C 0 0 0; O 0 0 1.205; H 0 0.943 -0.588; H 0 -0.943 -0.588", basis="6-31g*"),  # unfitted
}


@pytest.fixture(scope="module")
def computed(psi4_jobs):
    restricted = Case(WATER, charges=(1, 0), multiplicities=(2, 1), reference="rohf")
    proton = Case("H 0 0 0", charges=(1, 0))
    jobs = [case.job(["polarizability"]) for case in (*CASES.values(), proton, restricted)]
    return dict(zip((*CASES, "proton", "restricted open shell"), psi4_jobs(jobs), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_finite_field(computed, name, record_property):
    """alpha_ab = d mu_a / d F_b by central differences, whose error falls with the square of the field."""
    case, found = CASES[name], np.array(computed[name]["polarizability"])
    expected = np.zeros((3, 3))
    for b, direction in enumerate(np.eye(3) * FIELD):
        up, down = (system_features(case.mean_field(tuple(sign * direction)))["dipole"] for sign in (1, -1))
        expected[:, b] = (up - down) / (2 * FIELD) * BOHR_RADIUS**2  # e·Å per atomic unit of field to Å³
    worst = float(np.abs(found - expected).max())
    record_property("polarizability", worst)
    assert worst < 1e-4, (found, expected)
    np.testing.assert_allclose(found, found.T, rtol=0, atol=1e-12)
    assert (np.linalg.eigvalsh(found) > 0).all()


def test_no_electrons_no_polarizability(computed):
    np.testing.assert_array_equal(computed["proton"]["polarizability"], np.zeros((3, 3)))


def test_restricted_open_shell_is_refused(computed):
    found = computed["restricted open shell"]
    assert found["status"] == "input" and "reference" in found["message"], found
