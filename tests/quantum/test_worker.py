"""Whole workers in the Psi4 interpreter: warm process after failures, resuming, limits, signals."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import h5py
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
    found = re.findall(r": (\d+) structures, (\d+) computed, (\d+) known, (\d+) failed", log)
    assert len(found) == 1, log
    return dict(zip(("structures", "computed", "known", "failed"), map(int, found[0]), strict=True))


def test_warm_process_survives_failures_and_knows_its_work(run_worker, write_dimers, mixed, level, tmp_path):
    """Ten dimers of changing size after three failures equal those of fresh processes; a rerun computes nothing."""
    broken, good = mixed
    digest = write_dimers(broken + good)
    short = {**level, "max_iterations": 14}  # too few for the cyanide radical
    options = {"level": short, "max_failed": 0.3}
    log = run_worker(**options).stderr
    assert counts(log) == {"structures": 13, "computed": 13, "known": 0, "failed": 3}
    assert "done 13/13, failed 3" in log and "per minute" in log

    warm = read_quantum([tmp_path / "out.h5"], level=short, structures_digest=digest)
    assert warm.status.tolist() == ["input", "convergence", "input"] + ["ok"] * 10
    assert "atoms 0 and 3 (counted from 0) are 0.001 Å apart" in warm.message[0]
    assert "Could not converge" in warm.message[1]
    assert "fragment A has 10 electrons" in warm.message[2]
    for name in ("energy", "dipole", "quadrupole", "participation_ratio", "interaction_energy"):
        assert np.isnan(getattr(warm, name)[:3]).all() and np.isfinite(getattr(warm, name)[3:]).all()
    assert np.isnan(warm.mulliken_spd[: warm.offsets[3]]).all()
    np.testing.assert_allclose(
        [warm.mulliken_charge[warm.atoms(i)].sum() for i in range(3, 13)], [0] * 5 + [1] + [0] * 4, atol=1e-8
    )

    again = counts(run_worker(**options, output=tmp_path / "again.h5").stderr)
    assert again == {"structures": 13, "computed": 0, "known": 13, "failed": 3}
    second = read_quantum([tmp_path / "again.h5"])
    assert list(second.digests.values()) == list(warm.digests.values())

    fresh_options = {**options, "batches": 13, "store": tmp_path / "fresh"}
    for batch in (4, 12):  # the largest dimer, and the last one
        run_worker(**fresh_options, batch=batch, output=tmp_path / f"{batch}.h5")
        with h5py.File(tmp_path / f"{batch}.h5") as fresh:
            np.testing.assert_array_equal(fresh["energy"][0], warm.energy[batch])
            np.testing.assert_array_equal(fresh["quadrupole"][0], warm.quadrupole[batch])


def test_batches_share_records_and_cover_all_rows(run_worker, write_dimers, structure, molecules, tmp_path):
    """Two batches of another dataset find what the first computed, wherever it stands there and whatever its name."""
    names = ["he", "h2", "hcl"]
    made = [structure(f"a{n}", *molecules[n], *at(HE, 0, 0, -3.5)) for n in names]
    write_dimers(made)
    assert counts(run_worker().stderr)["computed"] == 3
    first = read_quantum([tmp_path / "out.h5"])
    renamed = [structure(f"b{n}", *molecules[n], *at(HE, 0, 0, -3.5)) for n in reversed(names)]
    write_dimers(renamed)
    paths = []
    for batch in range(2):
        paths.append(tmp_path / f"{batch}.h5")
        result = counts(run_worker(batch=batch, batches=2, output=paths[-1]).stderr)
        assert (result["computed"], result["known"]) == (0, 2 - batch)
    joined = read_quantum(paths, ids=["bhcl", "bh2", "bhe"])
    np.testing.assert_array_equal(joined.energy, first.energy[::-1])

    damaged = next((tmp_path / "store").glob("*/*.h5"))
    damaged.write_bytes(damaged.read_bytes()[:1000])
    run = run_worker()
    assert counts(run.stderr)["computed"] == 1
    assert str(damaged) in run.stderr and "computed again" in run.stderr
    repaired = read_quantum([tmp_path / "out.h5"])
    np.testing.assert_array_equal(repaired.energy, joined.energy)


def test_too_many_failures_stop_without_output(run_worker, write_dimers, structure, molecules, tmp_path):
    fused = [structure(f"fused{k}", *HE, *at(HE, 0, 0, 0.001 * (k + 1))) for k in range(2)]
    write_dimers([*fused, structure("good", *HE, *at(HE, 0, 0, 3.0))])
    run = run_worker(check=False, max_failed=0.5)
    assert run.returncode == 1 and not (tmp_path / "out.h5").exists()
    assert "2 of 3 structures failed" in run.stderr and "fused0: input: atoms 0 and 1" in run.stderr
    assert "Traceback" not in run.stderr
    assert counts(run_worker(max_failed=0.7).stderr)["failed"] == 2


def test_unknown_basis_stops_at_once(run_worker, write_dimers, structure, level, tmp_path):
    """A basis that Psi4 does not have is the level's fault: nothing is kept, and similar names are shown."""
    write_dimers([structure("he-he", *HE, *at(HE, 0, 0, 3.0))])
    run = run_worker(check=False, level={**level, "basis": "def2-svpp"})
    assert run.returncode == 1 and "basis 'def2-svpp' is unknown to Psi4" in run.stderr
    assert "def2-svp" in run.stderr.split("similar:")[1]
    assert not (tmp_path / "out.h5").exists() and not (tmp_path / "store").exists()


def test_wrong_arguments_are_named(run_worker, write_dimers, structure, level, tmp_path):
    write_dimers([structure("he-he", *HE, *at(HE, 0, 0, 3.0))])
    run = run_worker(check=False, level={**level, "basiss": "x"})
    assert run.returncode == 2 and "did you mean 'basis'" in run.stderr
    run = run_worker(check=False, batch=2, batches=2)
    assert run.returncode == 2 and "--batch 2" in run.stderr
    run = run_worker(check=False, structures=tmp_path / "none.h5")
    assert run.returncode == 1 and "none.h5: no such file" in run.stderr and "Traceback" not in run.stderr


def test_participation_ratio_of_real_dimers(psi4_jobs, level, water):
    """Mirror images 60 Å apart have degenerate HOMOs, 2; a hydrogen bond puts the HOMO on the donor, 1."""
    far = np.vstack([water + [0, 0, 30.0], -(water + [0, 0, 30.0])])
    donor = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.96], [0.93, 0.0, -0.24]]
    bond = np.vstack([donor, water + [0, 0, 2.9]])
    common = {"fragment": [0, 0, 0, 1, 1, 1], "charges": [0, 0], "multiplicities": [1, 1], "level": level}
    jobs = [{"z": [8, 1, 1] * 2, "positions": x.tolist(), **common} for x in (far, bond)]
    mixed = np.array([0, 3, 1, 4, 2, 5])  # fragments need not be contiguous
    jobs.append(
        {
            **jobs[1],
            "z": np.array(jobs[1]["z"])[mixed].tolist(),
            "positions": bond[mixed].tolist(),
            "fragment": np.array(common["fragment"])[mixed].tolist(),
        }
    )
    apart, bonded, shuffled = psi4_jobs(jobs)
    assert apart["participation_ratio"] == pytest.approx(2.0, abs=1e-6)
    assert 1.0 <= bonded["participation_ratio"] < 1.05
    assert abs(apart["interaction_energy"]) < 1e-5
    assert shuffled["interaction_energy"] == pytest.approx(bonded["interaction_energy"], abs=1e-9)
    np.testing.assert_allclose(shuffled["mulliken_spd"], np.array(bonded["mulliken_spd"])[mixed], atol=1e-7)
    np.testing.assert_allclose(shuffled["dipole"], bonded["dipole"], atol=1e-7)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_interrupted_worker_resumes(
    psi4_interpreter, repository, write_dimers, structure, molecules, run_worker, level, tmp_path, number
):
    """A signal inside a computation loses that structure only; SIGTERM also leaves no scratch folder behind."""
    dimers = [structure(f"d{k}", *molecules["methane"], *at(molecules["water"], 0, 0, -3.5 - k)) for k in range(3)]
    write_dimers(dimers)
    probe = tmp_path / "p.json"
    probe.write_text(json.dumps(psi4_interpreter.to_json()))
    scratch = tmp_path / "own scratch"
    scratch.mkdir()
    arguments = ["--structures", tmp_path / "structures.h5", "--batch", 0, "--batches", 1, "--level", json.dumps(level)]
    arguments += ["--store", tmp_path / "store", "--output", tmp_path / "out.h5", "--interpreter", probe]
    process = subprocess.Popen(
        [sys.executable, str(repository / "scripts" / "quantum.py"), *map(str, arguments)],
        env={**os.environ, "PSI_SCRATCH": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "d0: computed" in line:
            break
    while not list((tmp_path / "store").rglob("*.crash")):  # there while a dimer is computed
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    rest = process.stderr.read()
    process.wait(timeout=60)
    assert process.returncode == -number, rest
    assert "d1" not in rest and not (tmp_path / "out.h5").exists()
    assert (list(scratch.iterdir()) == []) == (number == signal.SIGTERM)
    assert len(list((tmp_path / "store").glob("*/*.h5"))) == 1

    result = counts(run_worker().stderr)
    assert (result["computed"], result["known"], result["failed"]) == (2, 1, 0)
    assert list((tmp_path / "store").rglob("*.crash")) == []
    undisturbed = run_worker(store=tmp_path / "other", output=tmp_path / "other.h5")
    assert counts(undisturbed.stderr)["computed"] == 3
    digests = [next(iter(read_quantum([tmp_path / name]).digests.values())) for name in ("out.h5", "other.h5")]
    assert digests[0] == digests[1]
