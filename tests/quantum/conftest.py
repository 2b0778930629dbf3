"""Fixtures of the quantum stage: the Psi4 interpreter, jobs in it, workers, small dimers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from psigraph.config import Level
from psigraph.quantum.interpreter import InterpreterError, find_interpreter, worker_call
from psigraph.structures.model import Structure
from psigraph.structures.store import write_structures

sys.path.insert(0, str(Path(__file__).parent))  # makes pyscf_reference importable

LEVEL = Level().identity()
#: Features the tests of worker and supervisor ask for: one of each common scope, cheap.
FEATURES = "energy,dipole,quadrupole,mulliken_spd,mulliken_charge,interaction_energy,participation_ratio"
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

    def call(jobs: list[dict] | dict, script: str = "psi4_jobs.py") -> list[dict]:
        folder = tmp_path_factory.mktemp("jobs")
        (folder / "jobs.json").write_text(json.dumps(jobs))
        _, environment = worker_call(psi4_interpreter, repository / "src", [])
        command = [
            *psi4_interpreter.command,
            str(Path(__file__).with_name(script)),
            str(folder / "jobs.json"),
            str(folder / "results.json"),
        ]
        run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, run.stderr
        return json.loads((folder / "results.json").read_text())

    return call


@pytest.fixture
def worker(psi4_interpreter, repository, tmp_path):
    """Call with worker options; starts scripts/quantum.py in a session of its own and returns the process.

    Its log goes to the pipe stderr; its working folder is tmp_path/cwd, its scratch folder tmp_path/scratch.
    """
    probe = tmp_path / "probe.json"
    probe.write_text(json.dumps(psi4_interpreter.to_json()))
    for folder in ("cwd", "scratch"):
        (tmp_path / folder).mkdir()

    def start(**options) -> subprocess.Popen:
        settings = {
            "structures": tmp_path / "structures.h5",
            "batch": 0,
            "batches": 1,
            "level": json.dumps(options.pop("level", LEVEL)),
            "features": FEATURES,
            "store": tmp_path / "store",
            "output": tmp_path / "out.h5",
            "memory_mb": 1000,
            **options,
        }
        arguments = [part for key, value in settings.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        return subprocess.Popen(
            [sys.executable, str(repository / "scripts" / "quantum.py"), "--interpreter", str(probe), *arguments],
            cwd=tmp_path / "cwd",
            env={**os.environ, "PSI_SCRATCH": str(tmp_path / "scratch")},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture
def run_worker(worker, tmp_path):
    """Call with worker options; runs scripts/quantum.py and returns the finished process (log in stderr).

    The working folder is empty before and must be empty after: Psi4 must not leave its files there.
    """

    def call(*, check: bool = True, **options) -> subprocess.CompletedProcess:
        process = worker(**options)
        _, log = process.communicate(timeout=300)
        assert list((tmp_path / "cwd").iterdir()) == [], "Psi4 left files in the working folder"
        assert list((tmp_path / "scratch").iterdir()) == [], "Psi4 left its scratch folder"
        if check:
            assert process.returncode == 0, log
        return subprocess.CompletedProcess(process.args, process.returncode, "", log)

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
