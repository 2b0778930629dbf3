"""Runs in the Psi4 interpreter: molecules and dimers from a JSON file, in one process, results to another JSON file.

Not a test itself. Usage: psi4_jobs.py JOBS RESULTS
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from psigraph.quantum.errors import classify
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.model import Dimer
from psigraph.quantum.psi4_runner import Psi4Session, compute_dimer
from psigraph.units import BOHR_RADIUS


def molecule_job(session: Psi4Session, job: dict, level: dict) -> dict:
    """One SCF of one molecule; moments about the coordinate origin."""
    molecule = session.psi4.core.Molecule.from_arrays(
        geom=(np.array(job["positions"]) / BOHR_RADIUS).ravel(),
        elez=np.array(job["z"]),
        units="Bohr",
        molecular_charge=float(job["charge"]),
        molecular_multiplicity=job["multiplicity"],
        fix_com=True,
        fix_orientation=True,
        fix_symmetry="c1",
    )
    try:
        result = session.scf(molecule, level)
    except Exception as error:
        return {"status": classify(error), "message": str(error)}
    return {
        "status": "ok",
        "energy": result.energy,
        "dipole": result.dipole.tolist(),
        "quadrupole": result.quadrupole.tolist(),
        "mulliken_spd": result.mulliken_spd.tolist(),
        "mulliken_charge": result.mulliken_charge.tolist(),
    }


def dimer_job(session: Psi4Session, job: dict, level: dict) -> dict:
    dimer = Dimer(
        np.array(job["z"]),
        np.array(job["positions"], dtype=float),
        np.array(job["fragment"]),
        tuple(job["charges"]),
        tuple(job["multiplicities"]),
    )
    result = dataclasses.asdict(compute_dimer(session, dimer, level))
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in result.items()}


def main() -> None:
    jobs, results = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    session = Psi4Session(1000)
    answers = []
    for job in json.loads(jobs.read_text()):
        level = normalise_level(job["level"])
        run = dimer_job if "fragment" in job else molecule_job
        answers.append(run(session, job, level))
    results.write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
