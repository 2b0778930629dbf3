"""What `quantum.py` measures inside Psi4's interpreter. Usage: psi4_side.py bare|features JOBS.json RESULTS.json

bare: the time of `psi4.energy` alone, molecule by molecule. features: the time of the SCF and of each function that
computes features, on the wavefunction at hand.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def bare(jobs: list[dict[str, Any]]) -> list[float]:
    """Return the seconds of each `psi4.energy` call: no psigraph, no features, the same settings and one thread."""
    import psi4

    psi4.core.set_output_file(os.devnull, False)
    psi4.set_num_threads(1, quiet=True)
    psi4.core.set_memory_bytes(1600 * 1000 * 1000, True)
    times = []
    for job in jobs:
        molecule = psi4.core.Molecule.from_arrays(
            geom=np.ravel(job["positions"]),
            elez=job["z"],
            units="Angstrom",
            fix_com=True,
            fix_orientation=True,
            fix_symmetry="c1",
        )
        level = job["level"]
        psi4.set_options({key: level[key] for key in ("basis", "scf_type", "e_convergence", "d_convergence")})
        start = time.perf_counter()
        psi4.energy(level["method"], molecule=molecule)
        times.append(time.perf_counter() - start)
        psi4.core.clean()
    return times


def features(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return for each job the seconds of the SCF and, under `features`, of each group of features made together."""
    from psigraph.quantum import psi4_runner
    from psigraph.quantum.registry import COMPUTE, select
    from psigraph.quantum.system import System

    session = psi4_runner.Psi4Session(1600)
    results = []
    for job in jobs:
        n = len(job["z"])
        system = System(
            np.array(job["z"]),
            np.array(job["positions"]),
            np.array(job.get("fragment", [0] * n)),
            np.zeros(n, dtype=bool),
            (0, 0),
            (1, 1),
        )
        seconds: dict[str, float] = {}
        original = dict(COMPUTE)
        for function in set(original.values()):
            names = tuple(name for name in original if original[name] is function)
            COMPUTE.update(dict.fromkeys(names, _timed(function, ", ".join(names), seconds)))
        start = time.perf_counter()
        session.compute(system, job["level"], select(job["features"]))
        total = time.perf_counter() - start
        COMPUTE.update(original)
        results.append({"scf": total - sum(seconds.values()), "features": seconds})
    return results


def _timed(function: Any, label: str, seconds: dict[str, float]) -> Any:
    def call(scf: Any) -> Any:
        start = time.perf_counter()
        result = function(scf)
        seconds[label] = time.perf_counter() - start
        return result

    return call


def main() -> None:
    what, jobs, results = sys.argv[1], Path(sys.argv[2]).absolute(), Path(sys.argv[3]).absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # Psi4 leaves timer.dat where it stands
        answer = {"bare": bare, "features": features}[what](json.loads(jobs.read_text()))
        results.write_text(json.dumps(answer))
        os.chdir("/")


if __name__ == "__main__":
    main()
