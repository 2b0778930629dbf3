"""Psi4's features against PySCF, an independent program: same basis, same density fitting, same formulas.

PySCF's alias def2-svp-jkfit stands for def2-universal-jkfit, which is what Psi4 calls def2-svp-jkfit.
"""

import numpy as np
import pytest

pyscf = pytest.importorskip("pyscf", reason="PySCF is not installed")
from pyscf import gto, scf  # noqa: E402

from psigraph.units import BOHR_RADIUS  # noqa: E402

TIGHT = {
    "method": "hf",
    "basis": "def2-svp",
    "scf_type": "df",
    "e_convergence": 1e-11,
    "d_convergence": 1e-9,
    "max_iterations": 100,
}
TOLERANCE = {"energy": 1e-6, "dipole": 1e-4, "quadrupole": 1e-3, "mulliken": 1e-4}  # hartree, e·Å, e·Å², e

#: name -> (atoms in Å, charge, multiplicity); sizes change up and down on purpose
MOLECULES = {
    "H2O": ("O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587", 0, 1),
    "NH4+": ("N 0 0 0; H .589 .589 .589; H -.589 -.589 .589; H -.589 .589 -.589; H .589 -.589 -.589", 1, 1),
    "OH-": ("O 0 0 0; H 0 0 0.97", -1, 1),
    "SO2": ("S 0 0 0; O 0 1.235 0.722; O 0 -1.235 0.722", 0, 1),  # d functions
    "HCl": ("H 0 0 0; Cl 0 0 1.275", 0, 1),
    "PH3": ("P 0 0 0; H 1.194 0 0.771; H -0.597 1.034 0.771; H -0.597 -1.034 0.771", 0, 1),
    "He": ("He 0 0 0", 0, 1),
    "CH3": ("C 0 0 0; H 1.079 0 0; H -0.5395 0.9344 0; H -0.5395 -0.9344 0", 0, 2),  # open shell
    "O2": ("O 0 0 0; O 0 0 1.208", 0, 3),  # open shell
    "H2S": ("S 0 0 0; H 0 0.9686 0.926; H 0 -0.9686 0.926", 0, 1),
    "H2O+": ("O 0 0 0; H 0 0.82 0.58; H 0 -0.82 0.58", 1, 2),  # charged and open shell
    "CH2O": ("C 0 0 0; O 0 0 1.205; H 0 0.943 -0.588; H 0 -0.943 -0.588", 0, 1),
    "HI": ("H 0 0 0; I 0 0 1.609", 0, 1),  # effective core potential
}
#: name -> (A, B, charges, multiplicities)
DIMERS = {
    "water dimer": (
        "O 0 0 0; H 0 0.757 0.587; H 0 -0.757 0.587",
        "O 0 0 -2.9; H 0 0 -1.94; H 0.93 0 -3.14",
        (0, 0),
        (1, 1),
    ),
    "ammonium-water": (MOLECULES["NH4+"][0], "O 1.7 1.7 1.7; H 2.3 2.1 1.1; H 1.8 2.2 2.5", (1, 0), (1, 1)),
    "HCl-CH3": (MOLECULES["CH3"][0], "H 0 0 2.2; Cl 0 0 3.48", (0, 0), (2, 1)),
    "HI-He": (MOLECULES["HI"][0], "He 0 2.0 1.6", (0, 0), (1, 1)),  # close: a ghost must not carry the ECP
    "HI-HI": (MOLECULES["HI"][0], "I 0 3.6 0.4; H 0 4.0 1.96", (0, 0), (1, 1)),  # a ghost beside an atom of its kind
}


def parse(text: str) -> tuple[list[str], np.ndarray]:
    """Return elements and positions [Å], turned and shifted so that no tensor component is zero by symmetry."""
    rows = [atom.split() for atom in text.split(";")]
    a, b = 0.7, 1.1
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    positions = np.array([[float(x) for x in row[1:]] for row in rows]) @ (tilt @ turn).T + [0.3, -0.5, 0.8]
    return [row[0] for row in rows], positions


def reference(elements, positions, charge, multiplicity, origin) -> dict:
    """PySCF's own energy, dipole, quadrupole and Mulliken analysis. An element may be "ghost-X"."""
    atoms = [(e, tuple(x / BOHR_RADIUS)) for e, x in zip(elements, positions, strict=True)]
    heavy = {e.removeprefix("ghost-"): "def2-svp" for e in elements if e == "I"}
    mol = gto.M(atom=atoms, basis="def2-svp", ecp=heavy, charge=charge, spin=multiplicity - 1, unit="Bohr", verbose=0)
    mf = (scf.RHF if multiplicity == 1 else scf.UHF)(mol).density_fit(auxbasis="def2-svp-jkfit")
    mf.conv_tol = 1e-12
    mf.conv_tol_grad = 1e-7
    mf.kernel()
    assert mf.converged
    dm = mf.make_rdm1()
    point = np.asarray(origin) / BOHR_RADIUS
    population, charges = mf.mulliken_pop(mol, dm, verbose=0)
    if multiplicity != 1:
        population = population[0] + population[1]  # α and β
    spd = np.zeros((mol.natm, 3))
    for value, (atom, _, shell, _) in zip(population, mol.ao_labels(fmt=None), strict=True):
        spd[atom, "spd".index(shell[-1])] += value
    quadrupole = mf.quad_moment(mol, dm, unit="AU", origin=point, verbose=0)
    return {
        "energy": mf.e_tot,
        "dipole": mf.dip_moment(mol, dm, unit="AU", origin=point, verbose=0) * BOHR_RADIUS,
        "quadrupole": quadrupole / 1.5 * BOHR_RADIUS**2,  # PySCF has the factor 3/2
        "mulliken_spd": spd,
        "mulliken_charge": charges,
    }


def deviations(found: dict, expected: dict) -> dict[str, float]:
    """Largest absolute deviations by quantity."""
    worst = {key: float(np.abs(np.subtract(found[key], expected[key])).max()) for key in expected}
    mulliken = max(worst.pop("mulliken_spd"), worst.pop("mulliken_charge"))
    return {**worst, "mulliken": mulliken}


@pytest.fixture(scope="module")
def computed(psi4_jobs):
    """All molecules and dimers in one Psi4 process that starts with a failure."""
    jobs = []
    for text, charge, multiplicity in MOLECULES.values():
        elements, positions = parse(text)
        z = [int(gto.charge(e)) for e in elements]
        jobs.append(
            {"z": z, "positions": positions.tolist(), "charge": charge, "multiplicity": multiplicity, "level": TIGHT}
        )
    broken = [{**jobs[0], "level": {**TIGHT, "max_iterations": 1}}, {**jobs[3], "level": {**TIGHT, "basis": "none"}}]
    for a, b, charges, multiplicities in DIMERS.values():
        elements, positions = parse(a + ";" + b)
        jobs.append(
            {
                "z": [int(gto.charge(e)) for e in elements],
                "positions": positions.tolist(),
                "fragment": [0] * len(a.split(";")) + [1] * len(b.split(";")),
                "charges": charges,
                "multiplicities": multiplicities,
                "level": TIGHT,
            }
        )
    first, second, *results = psi4_jobs(broken + jobs)
    assert first["status"] == "convergence" and second["status"] == "input"
    return dict(zip([*MOLECULES, *DIMERS], results, strict=True))


def check(found: dict, expected: dict, name: str, record_property) -> None:
    worst = deviations(found, expected)
    for quantity, value in worst.items():
        record_property(f"{name} {quantity}", value)
        assert value < TOLERANCE[quantity], f"{name}: {quantity} deviates by {value:.2e}"


@pytest.mark.parametrize("name", MOLECULES)
def test_molecule_agrees(computed, name, record_property):
    text, charge, multiplicity = MOLECULES[name]
    found = computed[name]
    assert found["status"] == "ok", found
    elements, positions = parse(text)
    expected = reference(elements, positions, charge, multiplicity, np.zeros(3))
    check(found, expected, name, record_property)
    assert np.abs(np.trace(found["quadrupole"])) < 1e-10


@pytest.mark.parametrize("name", DIMERS)
def test_counterpoise_agrees(computed, name, record_property):
    """Dimer, A with ghost B and B with ghost A; moments about the dimer's centroid; V_0."""
    a, b, charges, multiplicities = DIMERS[name]
    found = computed[name]
    assert found["status"] == "ok", found
    elements, positions = parse(a + ";" + b)
    n_a = len(a.split(";"))
    origin = positions.mean(axis=0)
    ghost_b = elements[:n_a] + [f"ghost-{e}" for e in elements[n_a:]]
    ghost_a = [f"ghost-{e}" for e in elements[:n_a]] + elements[n_a:]
    total = (elements, sum(charges), sum(multiplicities) - 1)
    runs = [total, (ghost_b, charges[0], multiplicities[0]), (ghost_a, charges[1], multiplicities[1])]
    expected = [reference(e, positions, q, m, origin) for e, q, m in runs]
    for k, one in enumerate(expected):
        part = {key: found[key][k] for key in ("energy", "dipole", "quadrupole")}
        part |= {key: found[key] if k == 0 else one[key] for key in ("mulliken_spd", "mulliken_charge")}
        check(part, one, f"{name} {k}", record_property)
    v_0 = expected[0]["energy"] - expected[1]["energy"] - expected[2]["energy"]
    assert found["interaction_energy"] == pytest.approx(v_0, abs=1e-7)
    np.testing.assert_allclose(found["origin"], origin, atol=1e-12)


def test_d_functions_are_populated(computed):
    """The d column is tested on something: sulphur in SO2 holds several tenths of an electron there."""
    assert computed["SO2"]["mulliken_spd"][0][2] > 0.3
