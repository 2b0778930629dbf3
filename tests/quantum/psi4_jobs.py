"""Runs in the Psi4 interpreter: systems from a JSON file, in one process, their features to another JSON file.

Not a test itself. Usage: psi4_jobs.py JOBS RESULTS. A job has z, positions [Å], level, features, and optionally
fragment, ghost, charges, multiplicities; positions are used as they are, so moments refer to the coordinate origin.
"""

import json
import sys
from pathlib import Path

import numpy as np

from psigraph.quantum.errors import classify
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.psi4_runner import Psi4Session
from psigraph.quantum.registry import select
from psigraph.quantum.system import System


def system_of(job: dict) -> System:
    n = len(job["z"])
    return System(
        z=np.array(job["z"]),
        positions=np.array(job["positions"], dtype=float),
        fragment=np.array(job.get("fragment", [0] * n)),
        ghost=np.array(job.get("ghost", [False] * n)),
        charges=tuple(job.get("charges", (0, 0))),
        multiplicities=tuple(job.get("multiplicities", (1, 1))),
    )


def answer(session: Psi4Session, job: dict) -> dict:
    attempts: list[str] = []
    try:
        level = normalise_level(job["level"])
        values = session.compute(system_of(job), level, select(job["features"]), note=attempts.append)
    except Exception as error:
        return {"status": classify(error), "message": str(error), "attempts": attempts}
    return {"status": "ok", "attempts": attempts, **{name: value.tolist() for name, value in values.items()}}


def main() -> None:
    jobs, results = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    session = Psi4Session(1000)
    results.write_text(json.dumps([answer(session, job) for job in json.loads(jobs.read_text())]))


if __name__ == "__main__":
    main()
