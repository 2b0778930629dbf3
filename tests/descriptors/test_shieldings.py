"""NMR shieldings by PySCF: values, symmetry, failures, and that nothing is computed twice."""

import numpy as np
import pytest

pytest.importorskip("pyscf.prop.nmr", reason="the optional extra nmr is not installed")

from psigraph.config import Level
from psigraph.descriptors import shielding_batches, shieldings
from psigraph.descriptors.shielding_batches import ShieldingJob, build_shieldings
from psigraph.descriptors.shieldings import ShieldingError
from psigraph.quantum.store import read_quantum
from psigraph.quantum.system import systems_of
from psigraph.structures.model import Structure
from psigraph.structures.store import write_structures

LEVEL = Level().identity()
SMALL = {**LEVEL, "basis": "sto-3g"}


def water(name: str = "water", **fields) -> Structure:
    positions = np.array([[0.0, 0.0, 0.117], [0.0, 0.757, -0.47], [0.0, -0.757, -0.47]])
    return Structure(name, np.array([8, 1, 1]), positions, np.zeros(3), np.nan, **fields)


def record(s: Structure, level=LEVEL, time_s: float = 60.0):
    return shieldings.shieldings(systems_of(s)[1][0], level, time_s=time_s, memory_mb=1000)


def test_water_has_the_shieldings_of_the_issue():
    """O 347.7 and H 31.2 ppm, HF/def2-SVP: PySCF's own driver, run once."""
    found = record(water())
    assert found.ok and found.psi4_version.startswith("pyscf ")
    np.testing.assert_allclose(found.values["nmr_shielding"], [347.63, 31.18, 31.18], atol=0.01)


def test_an_atom_has_lambs_shielding():
    """Without a paramagnetic part: sigma = alpha^2 / 3 <1/r>; He at the HF limit: <1/r> of two electrons 3.3746."""
    helium = Structure("he", np.array([2]), np.zeros((1, 3)), np.zeros(1), np.nan)
    lamb = 7.2973525693e-3**2 / 3 * 3.3746 * 1e6  # ppm
    assert record(helium, {**LEVEL, "basis": "def2-qzvp"}).values["nmr_shielding"][0] == pytest.approx(lamb, rel=2e-4)


def test_the_response_is_the_librarys_for_three_directions_and_right_for_fewer():
    from pyscf import gto, scf
    from pyscf.prop.nmr import rhf

    field = scf.RHF(gto.M(atom="O 0 0 0.117; H 0 0.757 -0.47; H 0 0.3 -0.5", basis="sto-3g", verbose=0)).run()
    orbitals = np.random.default_rng(0).normal(size=(3, 7, 5))
    theirs = rhf.gen_vind(field, field.mo_coeff, field.mo_occ)(orbitals).reshape(3, 7, 5)
    ours = shieldings._response(field)
    np.testing.assert_allclose(ours(orbitals), theirs, atol=1e-12)
    np.testing.assert_allclose(ours(orbitals[1:]), theirs[1:], atol=1e-12)


def test_molecules_without_symmetry_which_the_library_alone_cannot_do(molecule):
    """One direction converges before the others there; the mean of its carbon is shielded more than its oxygen."""
    s = molecule("CO")
    found = record(s, SMALL)
    assert found.ok and found.values["nmr_shielding"].shape == (6,)
    assert (found.values["nmr_shielding"][s.z == 1] < 40).all() and found.values["nmr_shielding"].min() > 25


@pytest.mark.parametrize("seed", [1, 2])
def test_turned_and_renumbered(seed, turn, change):
    order = np.random.default_rng(seed).permutation(3)
    moved = change(water(), turn(seed), np.array([1.0, 2.0, 3.0]), order)
    found, reference = (record(s, SMALL).values["nmr_shielding"] for s in (moved, water()))
    np.testing.assert_allclose(found, reference[order], rtol=1e-6)


@pytest.mark.parametrize(
    ("s", "level", "status", "message"),
    [
        (water(charge=(1, 0), multiplicity=(2, 1)), LEVEL, "input", "closed shells only, and the multiplicity is 2"),
        (water(), {**LEVEL, "basis": "no-such"}, "input", "no basis set 'no-such' for H"),
        (
            Structure("hi", np.array([53, 1]), np.array([[0, 0, 0], [0, 0, 1.6]]), np.zeros(2), np.nan),
            LEVEL,
            "input",
            "I has a core potential in 'def2-svp'",
        ),
        (water(), {**LEVEL, "max_iterations": 1}, "convergence", "SCF did not converge"),
    ],
)
def test_failures_have_their_class(s, level, status, message):
    found = record(s, level)
    assert found.status == status and message in found.message and not found.values


def test_too_little_time_is_a_failure_of_class_resources(molecule):
    found = record(molecule("c1ccccc1"), time_s=0.3)
    assert (found.status, found.message) == ("resources", "PySCF took more than 0.3 s") and found.wall_time < 5


@pytest.fixture
def job(tmp_path):
    positions = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.917], [0.0, 0.0, 3.0], [0.0, 0.6, 3.6], [0.0, -0.6, 3.6]])
    dimer = Structure("dimer", np.array([9, 1, 8, 1, 1]), positions, np.array([0, 0, 1, 1, 1]), 0.0)
    radical = water("radical", charge=(1, 0), multiplicity=(2, 1))
    write_structures(tmp_path / "s.h5", [water(), dimer, radical], unit="eV", settings={})
    return ShieldingJob(
        tmp_path / "s.h5", 0, 1, SMALL, tmp_path / "store", tmp_path / "0.h5", memory_mb=500, max_failed=0.5
    )


def test_a_batch_is_computed_once_and_has_a_row_for_every_structure(job, caplog, monkeypatch):
    digest = build_shieldings(job)
    found = read_quantum([job.output], level=job.level)
    assert found.settings["program"] == "pyscf" and list(found.values) == ["nmr_shielding"]
    assert found.status.tolist() == ["ok", "ok", "input"]
    np.testing.assert_allclose(found["nmr_shielding"][found.atoms(0)], record(water(), SMALL).values["nmr_shielding"])
    assert np.isfinite(found["nmr_shielding"][found.atoms(1)]).all() and found.atoms(1) == slice(3, 8)
    assert np.isnan(found["nmr_shielding"][found.atoms(2)]).all()

    def unwanted(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(shielding_batches, "shieldings", unwanted)
    with caplog.at_level("INFO"):
        assert build_shieldings(job) == digest
    assert "done 3/3, known 3, failed 1" in caplog.text


def test_too_many_failures_stop_the_batch(job, tmp_path):
    from dataclasses import replace

    with pytest.raises(ShieldingError, match="1 of 3 structures have no shieldings.*radical: input.*max_failed"):
        build_shieldings(replace(job, max_failed=0.1))
    assert not job.output.exists()


def test_without_pyscf_the_message_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyscf.prop.nmr", None)
    with pytest.raises(ShieldingError, match=r"pip install 'psigraph\[nmr\]'"):
        shieldings.require_pyscf()
