"""Runs in the Psi4 interpreter: writes FILE47s and, to another JSON file, the arrays they must hold.

Not a test itself. Usage: file47_jobs.py JOBS RESULTS. A job has z, positions [Å], level, reference, path, and
optionally charges, multiplicities. Two jobs may have one path.
"""

import json
import sys
from pathlib import Path

import numpy as np
from psi4_jobs import system_of

from psigraph.quantum.file47 import write_file47
from psigraph.quantum.psi4_runner import Psi4Session
from psigraph.quantum.scf import scf_of


def answer(session: Psi4Session, job: dict) -> dict:
    psi4, system = session.psi4, system_of(job)
    psi4.core.clean()
    psi4.set_options({"basis": job["basis"], "scf_type": "df", "reference": job["reference"], "d_convergence": 1e-8})
    energy, wavefunction = psi4.energy("hf", molecule=session.molecule(system), return_wfn=True)
    scf = scf_of(system, {}, energy, wavefunction, psi4)
    write_file47(scf, Path(job["path"]))
    densities = [scf.density] if scf.closed_shell else [spin.density for spin in scf.spins]
    return {
        "overlap": scf.integrals.overlap.tolist(),
        "densities": [d.tolist() for d in densities],
        "focks": [f.tolist() for f in scf.fock[: len(densities)]],
        "orbitals": [spin.coefficients.tolist() for spin in scf.spins[: len(densities)]],
        "charges": np.asarray(scf.integrals.nuclear_charge).tolist(),
        "atom": scf.integrals.atom.tolist(),
        "angular_momentum": scf.integrals.angular_momentum.tolist(),
    }


def main() -> None:
    jobs, results = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    session = Psi4Session(1000)
    results.write_text(json.dumps([answer(session, job) for job in json.loads(jobs.read_text())]))


if __name__ == "__main__":
    main()
