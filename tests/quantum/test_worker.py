"""Whole workers in the Psi4 interpreter: warm process after failures, resuming, limits, signals."""

import re
import signal
import time

import numpy as np
import pytest

from psigraph.quantum.store import read_quantum

HE, H2 = ([2], [[0.0, 0.0, 0.0]]), ([1, 1], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.74]])


def at(molecule, *shift):
    z, x = molecule
    return z, np.array(x) + shift


@pytest.fixture
def molecules(water):
    methane = np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * [[0.629]]
    return {
        "he": HE,
        "h2": H2,
        "water": ([8, 1, 1], water),
        "methane": ([6, 1, 1, 1, 1], methane),
        "hcl": ([17, 1], [[0, 0, 0], [0, 0, 1.275]]),
        "ammonium": ([7, 1, 1, 1, 1], methane * 0.935),
        "cyanide radical": ([6, 7], [[0, 0, 0], [0, 0, 1.2]]),
    }


@pytest.fixture
def mixed(structure, molecules):
    """Three that fail, then ten of changing size."""
    m = molecules

    def pair(name, a, b, distance=3.5, **k):
        return structure(name, *m[a], *at(m[b], 0, 0, distance), **k)

    broken = [
        pair("fused", "water", "water", distance=0.001),
        pair("slow", "cyanide radical", "he", distance=-3.0, multiplicity=(2, 1)),
        pair("spin", "water", "he", multiplicity=(2, 1)),
    ]
    good = [
        pair("he-he", "he", "he"),
        pair("methane-water", "methane", "water", distance=-3.6),
        pair("h2-he", "h2", "he"),
        pair("hcl-water", "hcl", "water", distance=4.5),
        pair("he-water", "he", "water", distance=3.0),
        pair("ammonium-he", "ammonium", "he", charge=(1, 0)),
        pair("methane-h2", "methane", "h2", distance=3.4),
        pair("h2-h2", "h2", "h2"),
        pair("hcl-he", "hcl", "he", distance=-3.4),
        pair("water-h2", "water", "h2", distance=-3.6),
    ]
    return broken, good


def counts(log: str) -> dict[str, int]:
    """Numbers of the worker's last line."""
    pattern = (
        r": (\d+) structures, (\d+) computed, (\d+) known, (\d+) failed; (\d+) systems computed, Psi4 started (\d+)"
    )
    found = re.findall(pattern, log)
    assert len(found) == 1, log
    names = ("structures", "computed", "known", "failed", "systems", "starts")
    return dict(zip(names, map(int, found[0]), strict=True))


def digest(path) -> str:
    return next(iter(read_quantum([path]).digests.values()))


def test_warm_process_survives_failures_and_knows_its_work(run_worker, write_dimers, mixed, level, tmp_path):
    """Ten dimers of changing size after three failures equal those of fresh processes; a rerun computes nothing."""
    broken, good = mixed
    written = write_dimers(broken + good)
    options = {"level": {**level, "max_iterations": 14}, "max_failed": 0.3}  # too few for the cyanide radical
    log = run_worker(**options).stderr
    expected = {"structures": 13, "computed": 13, "known": 0, "failed": 3, "systems": 33, "starts": 1}
    assert counts(log) == expected
    assert "done 13/13, known 0, failed 3" in log and "per minute" in log and "min left" in log

    warm = read_quantum([tmp_path / "out.h5"], level=options["level"], structures_digest=written)
    assert warm.status.tolist() == ["input", "convergence", "input"] + ["ok"] * 10
    assert "dimer: atoms 0 and 3 (counted from 0) are 0.001 Å apart" in warm.message[0]
    assert "did not converge with any of 5 settings" in warm.message[1]
    assert len(warm.attempts[1].splitlines()) == 5 and warm.attempts[1].startswith("dimer: as given: no convergence")
    assert "12 electrons (charge 0) cannot have multiplicity 2" in warm.message[2]
    for name in ("energy", "dipole", "quadrupole", "participation_ratio", "interaction_energy"):
        assert np.isnan(warm[name][:3]).all() and np.isfinite(warm[name][3:]).all()
    assert np.isnan(warm["mulliken_spd"][: warm.offsets["atom"][3]]).all()
    np.testing.assert_allclose(
        [warm["mulliken_charge"][warm.atoms(i)].sum() for i in range(3, 13)], [0] * 5 + [1] + [0] * 4, atol=1e-8
    )

    again = counts(run_worker(**options, output=tmp_path / "again.h5").stderr)
    assert again == {"structures": 13, "computed": 0, "known": 13, "failed": 3, "systems": 0, "starts": 0}
    assert digest(tmp_path / "again.h5") == digest(tmp_path / "out.h5")

    for k in (4, 12):  # the largest dimer, and the last one, each in a process of its own
        write_dimers([(broken + good)[k]])
        run_worker(**options, store=tmp_path / "fresh", output=tmp_path / f"{k}.h5")
        fresh = read_quantum([tmp_path / f"{k}.h5"])
        for name in ("energy", "quadrupole"):
            np.testing.assert_array_equal(fresh[name][0], warm[name][k])


def test_batches_share_records_and_cover_all_rows(run_worker, write_dimers, structure, molecules, tmp_path):
    """Two batches of another dataset find what the first computed, wherever it stands there and whatever its name.

    Of two equal dimers, one shifted, one is computed; of new structures only these.
    """
    names = ["he", "h2", "hcl"]
    made = [structure(f"a{n}", *molecules[n], *at(HE, 0, 0, -3.5)) for n in names]
    twin = structure("twin", *at(molecules["hcl"], 1, 2, 3), *at(HE, 1, 2, -0.5))
    write_dimers([*made, twin])
    result = counts(run_worker().stderr)
    assert (result["computed"], result["known"], result["systems"]) == (3, 1, 9)
    first = read_quantum([tmp_path / "out.h5"])
    np.testing.assert_array_equal(first["energy"][3], first["energy"][2])
    np.testing.assert_allclose(first.origin[3] - first.origin[2], [1, 2, 3])

    renamed = [structure(f"b{n}", *molecules[n], *at(HE, 0, 0, -3.5)) for n in reversed(names)]
    new = structure("new", *HE, *at(HE, 0, 0, 4.0))
    write_dimers([*renamed, new])
    paths = [tmp_path / f"{batch}.h5" for batch in range(2)]
    results = [counts(run_worker(batch=batch, batches=2, output=paths[batch]).stderr) for batch in range(2)]
    assert sum(r["structures"] for r in results) == 4 and sum(r["systems"] for r in results) == 3
    joined = read_quantum(paths, ids=["bhcl", "bh2", "bhe", "new"])
    np.testing.assert_array_equal(joined["energy"][:3], first["energy"][[2, 1, 0]])


def test_further_features_are_added_to_what_is_known(run_worker, write_dimers, structure, molecules, tmp_path):
    """A system is computed again for a feature it lacks; afterwards the journals hold both."""
    write_dimers([structure("he-h2", *HE, *at(molecules["h2"], 0, 0, 3.0))])
    assert counts(run_worker(features="energy").stderr)["systems"] == 3
    assert counts(run_worker(features="mulliken_charge").stderr)["systems"] == 1  # of the dimer as a whole only
    assert counts(run_worker(features="energy,mulliken_charge").stderr)["systems"] == 0
    run = run_worker(features="energy,mulliken", check=False)
    assert run.returncode == 2 and "unknown feature 'mulliken' (did you mean 'mulliken_" in run.stderr


def test_too_many_failures_stop_without_output(run_worker, write_dimers, structure, molecules, tmp_path):
    fused = [structure(f"fused{k}", *HE, *at(HE, 0, 0, 0.001 * (k + 1))) for k in range(2)]
    write_dimers([*fused, structure("good", *HE, *at(HE, 0, 0, 3.0))])
    run = run_worker(check=False, max_failed=0.5)
    assert run.returncode == 1 and not (tmp_path / "out.h5").exists()
    assert "2 of 3 structures failed" in run.stderr and "fused0: input: dimer: atoms 0 and 1" in run.stderr
    assert "Traceback" not in run.stderr
    assert counts(run_worker(max_failed=0.7).stderr)["failed"] == 2


@pytest.mark.parametrize(
    ("basis", "features", "message"),
    [
        ("def2-svpp", "energy", "basis 'def2-svpp' is unknown to Psi4 .*similar: .*def2-svp"),
        ("6-31gs", "npa_charge", "'6-31gs' has Cartesian d functions .*npa_charge need spherical"),
    ],
)
def test_a_level_that_cannot_be_stops_at_once(
    run_worker, write_dimers, structure, level, tmp_path, basis, features, message
):
    """A level is no structure's fault: nothing is kept."""
    write_dimers([structure("he-he", *HE, *at(HE, 0, 0, 3.0))])
    run = run_worker(check=False, level={**level, "basis": basis}, features=features)
    assert run.returncode == 1 and re.search(message, run.stderr), run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out.h5").exists() and not (tmp_path / "store").exists()


def test_wrong_arguments_are_named(run_worker, write_dimers, structure, level, tmp_path):
    write_dimers([structure("he-he", *HE, *at(HE, 0, 0, 3.0))])
    run = run_worker(check=False, level={**level, "basiss": "x"})
    assert run.returncode == 2 and "did you mean 'basis'" in run.stderr
    run = run_worker(check=False, level={**level, "reference": "rohf"}, features="polarizability")
    assert run.returncode == 2 and "reference: 'rohf' does not go with the feature 'polarizability'" in run.stderr
    run = run_worker(check=False, batch=2, batches=2)
    assert run.returncode == 2 and "--batch 2" in run.stderr
    run = run_worker(check=False, memory_mb=100)
    assert run.returncode == 2 and "--memory-mb 100" in run.stderr
    run = run_worker(check=False, structures=tmp_path / "none.h5")
    assert run.returncode == 1 and "none.h5: no such file" in run.stderr and "Traceback" not in run.stderr


def test_molecules_and_file47(run_worker, structure, molecules, write_dimers, tmp_path):
    """A molecule is one system; its FILE47 is written once, and again when it is gone."""
    none = (np.zeros(0, int), np.zeros((0, 3)))
    write_dimers([structure("w/1", *molecules["water"], *none), structure("he-he", *HE, *at(HE, 0, 0, 3.0))])
    folder = tmp_path / "file47"
    assert counts(run_worker(file47=folder).stderr)["systems"] == 4
    plain, odd = sorted(path.name for path in folder.iterdir())
    assert plain == "he-he.47" and re.fullmatch(r"w_1-[0-9a-f]{8}\.47", odd)
    text = (folder / odd).read_text()
    assert "$GENNBO" in text and "NATOMS = 3" in text and "$FOCK" in text
    assert counts(run_worker(file47=folder).stderr)["systems"] == 0
    (folder / "he-he.47").unlink()
    assert counts(run_worker(file47=folder).stderr)["systems"] == 1
    assert (folder / "he-he.47").exists()
    found = read_quantum([tmp_path / "out.h5"])
    assert found.n_systems.tolist() == [1, 3] and np.isnan(found["energy"][0, 1:]).all()


def test_participation_ratio_of_real_dimers(psi4_jobs, level, water):
    """Mirror images 60 Å apart have degenerate HOMOs, 2; a hydrogen bond puts the HOMO on the donor, 1."""
    far = np.vstack([water + [0, 0, 30.0], -(water + [0, 0, 30.0])])
    donor = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.96], [0.93, 0.0, -0.24]]
    bond = np.vstack([donor, water + [0, 0, 2.9]])
    mixed = np.array([0, 3, 1, 4, 2, 5])  # fragments need not be contiguous
    z, fragment = np.array([8, 1, 1] * 2), np.array([0, 0, 0, 1, 1, 1])
    jobs = [
        {
            "z": z[order].tolist(),
            "positions": x[order].tolist(),
            "fragment": fragment[order].tolist(),
            "level": level,
            "features": ["participation_ratio", "mulliken_spd", "dipole"],
        }
        for x, order in ((far, np.arange(6)), (bond, np.arange(6)), (bond, mixed))
    ]
    apart, bonded, shuffled = psi4_jobs(jobs)
    assert apart["participation_ratio"] == pytest.approx(2.0, abs=1e-6)
    assert 1.0 <= bonded["participation_ratio"] < 1.05
    assert shuffled["participation_ratio"] == pytest.approx(bonded["participation_ratio"], abs=1e-6)
    np.testing.assert_allclose(shuffled["mulliken_spd"], np.array(bonded["mulliken_spd"])[mixed], atol=1e-7)
    np.testing.assert_allclose(shuffled["dipole"], bonded["dipole"], atol=1e-7)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_interrupted_worker_resumes(worker, run_worker, write_dimers, structure, molecules, tmp_path, number):
    """A signal inside a computation loses that system only; SIGTERM also leaves no scratch folder behind."""
    dimers = [structure(f"d{k}", *molecules["methane"], *at(molecules["water"], 0, 0, -3.5 - k)) for k in range(3)]
    write_dimers(dimers)
    process = worker()
    for line in process.stderr:
        if "d0: computed" in line:
            break
    time.sleep(0.2)
    process.send_signal(number)
    rest = process.stderr.read()
    process.wait(timeout=60)
    assert process.returncode == -number, rest
    assert "d1: computed" not in rest and not (tmp_path / "out.h5").exists()
    left = list((tmp_path / "scratch").iterdir())
    assert (left == []) == (number == signal.SIGTERM)

    run = run_worker()  # which also asserts that nothing is left now
    assert counts(run.stderr)["known"] == 1 and counts(run.stderr)["systems"] in (5, 6)
    assert ("removed 1 scratch folders" in run.stderr) == (number == signal.SIGKILL)
    undisturbed = run_worker(store=tmp_path / "other", output=tmp_path / "other.h5")
    assert counts(undisturbed.stderr)["systems"] == 9
    assert digest(tmp_path / "out.h5") == digest(tmp_path / "other.h5")
