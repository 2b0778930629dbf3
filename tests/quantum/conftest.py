"""Fixtures of the quantum stage: the Psi4 interpreter, jobs in it, workers, small dimers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from psigraph.quantum.interpreter import InterpreterError, find_interpreter, worker_call
from psigraph.quantum.model import Dimer, DimerResult
from psigraph.structures.model import Structure
from psigraph.structures.store import write_structures

LEVEL = {
    "method": "hf",
    "basis": "def2-svp",
    "scf_type": "df",
    "e_convergence": 1e-8,
    "d_convergence": 1e-8,
    "max_iterations": 100,
}
WATER = np.array([[0.0, 0.0, 0.0], [0.0, 0.757, 0.587], [0.0, -0.757, 0.587]])  # Å, O H H


@pytest.fixture
def level():
    return dict(LEVEL)


@pytest.fixture
def water():
    return WATER.copy()


@pytest.fixture(scope="session")
def psi4_interpreter():
    """The Psi4 interpreter; tests that need it skip where there is none."""
    try:
        return find_interpreter()
    except InterpreterError as error:
        pytest.skip(f"no Psi4: {error}")


@pytest.fixture(scope="session")
def psi4_jobs(psi4_interpreter, repository, tmp_path_factory):
    """Call with a list of jobs; returns the list of results, all computed in one Psi4 process."""

    def call(jobs: list[dict]) -> list[dict]:
        folder = tmp_path_factory.mktemp("jobs")
        (folder / "jobs.json").write_text(json.dumps(jobs))
        _, environment = worker_call(psi4_interpreter, repository / "src", [])
        script = Path(__file__).with_name("psi4_jobs.py")
        command = [*psi4_interpreter.command, str(script), str(folder / "jobs.json"), str(folder / "results.json")]
        run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        return json.loads((folder / "results.json").read_text())

    return call


@pytest.fixture
def run_worker(psi4_interpreter, repository, tmp_path):
    """Call with worker options; runs scripts/quantum.py and returns the finished process (log in stderr).

    The working folder is empty before and must be empty after: Psi4 must not leave its files there.
    """
    probe = tmp_path / "probe.json"
    probe.write_text(json.dumps(psi4_interpreter.to_json()))
    cwd = tmp_path / "cwd"
    scratch = tmp_path / "scratch"
    for folder in (cwd, scratch):
        folder.mkdir()

    def call(*, check: bool = True, **options) -> subprocess.CompletedProcess:
        settings = {
            "structures": tmp_path / "structures.h5",
            "batch": 0,
            "batches": 1,
            "level": json.dumps(options.pop("level", LEVEL)),
            "store": tmp_path / "store",
            "output": tmp_path / "out.h5",
            "memory_mb": 1000,
            **options,
        }
        arguments = [part for key, value in settings.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        script = repository / "scripts" / "quantum.py"
        run = subprocess.run(
            [sys.executable, str(script), "--interpreter", str(probe), *arguments],
            cwd=cwd,
            env={**os.environ, "PSI_SCRATCH": str(scratch)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert list(cwd.iterdir()) == [], "Psi4 left files in the working folder"
        assert list(scratch.iterdir()) == [], "Psi4 left its scratch folder"
        if check:
            assert run.returncode == 0, run.stderr
        return run

    return call


@pytest.fixture
def structure():
    """Call with id, z, positions of A, and of B, to make a Structure."""

    def make(name, z_a, x_a, z_b, x_b, charge=(0, 0), multiplicity=(1, 1)) -> Structure:
        return Structure(
            id=name,
            z=np.array([*z_a, *z_b]),
            positions=np.vstack([x_a, x_b]),
            fragment=[0] * len(z_a) + [1] * len(z_b),
            v_ref=-1.0,
            charge=charge,
            multiplicity=multiplicity,
        )

    return make


@pytest.fixture
def write_dimers(tmp_path):
    """Call with structures; writes tmp_path/structures.h5 and returns its digest."""

    def write(structures: list[Structure]) -> str:
        return write_structures(tmp_path / "structures.h5", structures, unit="kcal/mol", settings={"name": "test"})

    return write


@pytest.fixture
def water_dimer(water):
    return Dimer(
        z=np.array([8, 1, 1] * 2),
        positions=np.vstack([water, water + [0, 0, 3.0]]),
        fragment=np.array([0, 0, 0, 1, 1, 1]),
        charges=(0, 0),
        multiplicities=(1, 1),
    )


@pytest.fixture
def made_up_result():
    """Call with a number of atoms and a seed to get a result of random numbers, for tests of files."""

    def make(n_atoms: int, seed: int = 0) -> DimerResult:
        rng = np.random.default_rng(seed)
        return DimerResult(
            status="ok",
            energy=rng.normal(size=3),
            interaction_energy=float(rng.normal()),
            dipole=rng.normal(size=(3, 3)),
            quadrupole=rng.normal(size=(3, 3, 3)),
            origin=rng.normal(size=3),
            mulliken_spd=rng.normal(size=(n_atoms, 3)),
            mulliken_charge=rng.normal(size=n_atoms),
            participation_ratio=1.5,
            wall_time=float(rng.random()),
            psi4_version="1.3.2",
        )

    return make
