"""SAPT0 against published values, PySCF's electrostatics and the HF interaction energy; borders of MP2.

MP2 itself is compared in test_pyscf.py.
"""

import numpy as np
import pytest

pytest.importorskip("pyscf", reason="PySCF is not installed")
from pyscf import df
from pyscf_reference import Case

ETHENE = (
    "C 0 -0.667578 -2.124659; C 0 0.667578 -2.124659; H 0.923621 -1.232253 -2.126185; H -0.923621 -1.232253 -2.126185; "
    "H -0.923621 1.232253 -2.126185; H 0.923621 1.232253 -2.126185"
)
ETHYNE = "C 0 0 2.900503; C 0 0 1.693240; H 0 0 0.627352; H 0 0 3.963929"
#: Psi4's own check of an installation, frozen core: psi4/psi4, conda-recipe/psi4/post-link.sh. Hartree.
PUBLISHED = [-0.003378388762, 0.003704416103, -0.000889316601, -0.001672292164, -0.002235581423]
WATER = ("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", "O 0 0 -2.9; H 0 0 -1.94; H 0.93 0 -3.14")
CASES = {
    "ethene-ethyne": Case(ETHENE, ETHYNE, basis="jun-cc-pvdz"),
    "water": Case(*WATER),
    "water swapped": Case(*WATER[::-1]),
    "charged": Case("N 0 0 0; H .589 .589 .589; H -.589 -.589 .589; H -.589 .589 -.589; H .589 -.589 -.589",
                    "O 1.7 1.7 1.7; H 2.3 2.1 1.1; H 1.8 2.2 2.5", (1, 0)),
    "one molecule": Case(WATER[0]),
    "open shell": Case("O 0 0 0; H 0 0 0.97", WATER[1], multiplicities=(2, 1)),
    "core potential": Case("H 0 0 0; I 0 0 1.609", "He 0 3.0 1.6"),
}  # fmt: skip
MP2 = {
    "triplet hydrogen": Case("H 0 0 0; H 0 0 1", multiplicities=(3, 1)),
    "lithium ion": Case("Li 0 0 0", charges=(1, 0)),
    "beryllium(3+)": Case("Be 0 0 0", charges=(3, 0), multiplicities=(2, 1)),
    "restricted open shell": Case("O 0 0 0; H 0 0 0.97", multiplicities=(2, 1), reference="rohf"),
    "water": Case(WATER[0]),
}


@pytest.fixture(scope="module")
def computed(psi4_jobs):
    """All jobs in one process: refusals stand between, and must not disturb what follows."""
    jobs = [MP2["water"].job(["mp2_correlation"])]
    jobs += [case.job(["sapt0"], scf_type="df") for case in CASES.values()]
    jobs += [case.job(["mp2_correlation"]) for case in MP2.values()]
    jobs += [CASES["water"].job(["mp2_correlation", "octupole", "polarizability", "sapt0"])]
    return dict(zip(["first", *CASES, *(f"MP2 {name}" for name in MP2), "all"], psi4_jobs(jobs), strict=True))


def test_published_sapt0(computed, record_property):
    found = np.array(computed["ethene-ethyne"]["sapt0"])
    worst = np.abs(found - PUBLISHED).max()
    record_property("sapt0 published", worst)
    assert worst < 1e-6, found


@pytest.mark.parametrize("name", ["water", "charged"])
def test_electrostatics_and_hf(computed, name, record_property):
    """Elst is the Coulomb energy of the two monomers' densities; elst + exch + ind (delta HF) is E_HF's interaction."""
    case, (elst, exch, ind, disp, total) = CASES[name], computed[name]["sapt0"]
    dimer, a, b = (
        Case(case.a, case.b, case.charges, case.multiplicities, ghost).mean_field() for ghost in ("", "b", "a")
    )
    density_a, density_b = a.make_rdm1(), b.make_rdm1()
    nuclei = dimer.mol.energy_nuc() - a.mol.energy_nuc() - b.mol.energy_nuc()
    attraction = np.sum(density_a * b.mol.intor("int1e_nuc")) + np.sum(density_b * a.mol.intor("int1e_nuc"))
    fitted = df.DF(a.mol, auxbasis="def2-svp-ri")  # Psi4 fits this term as it fits MP2
    coulomb = nuclei + attraction + np.sum(fitted.get_jk(density_b, with_k=False)[0] * density_a)
    hf = dimer.e_tot - a.e_tot - b.e_tot
    record_property("sapt0 electrostatics", abs(elst - coulomb))
    record_property("sapt0 HF part", abs(elst + exch + ind - hf))
    assert elst == pytest.approx(coulomb, abs=1e-7)
    assert elst + exch + ind == pytest.approx(hf, abs=1e-7)
    assert total == pytest.approx(elst + exch + ind + disp, abs=1e-12) and disp < 0


def test_order_of_fragments_does_not_matter(computed):
    np.testing.assert_allclose(computed["water"]["sapt0"], computed["water swapped"]["sapt0"], rtol=0, atol=1e-8)


def test_mp2_before_sapt0_changes_nothing(computed):
    """Both set how many orbitals are frozen, of the dimer and of the monomers."""
    np.testing.assert_allclose(computed["all"]["sapt0"], computed["water"]["sapt0"], rtol=0, atol=1e-9)


def test_sapt0_of_a_molecule_is_nan(computed):
    assert np.isnan(computed["one molecule"]["sapt0"]).all() and len(computed["one molecule"]["sapt0"]) == 5


@pytest.mark.parametrize(("name", "words"), [("open shell", "closed shells"), ("core potential", "core potential")])
def test_sapt0_refuses(computed, name, words):
    assert computed[name]["status"] == "input" and words in computed[name]["message"], computed[name]


@pytest.mark.parametrize("name", ["triplet hydrogen", "beryllium(3+)", "restricted open shell"])
def test_mp2_refuses(computed, name):
    assert computed[f"MP2 {name}"]["status"] == "input", computed[f"MP2 {name}"]


def test_mp2_after_refusals(computed):
    assert computed["MP2 lithium ion"]["mp2_correlation"] == 0
    before, after = (computed[name]["mp2_correlation"] for name in ("first", "MP2 water"))
    assert before == pytest.approx(after, abs=1e-10) and before < -0.2
