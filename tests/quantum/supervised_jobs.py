"""Runs in the Psi4 interpreter: systems from a JSON file through one `Supervisor`; their records to another JSON file.

Not a test itself. Usage: supervised_jobs.py JOBS RESULTS. JOBS has level, limits (time_s, memory_mb), optionally
address_space_mb for Psi4, growth_mb in place of GROWTH_MB, and jobs like those of psi4_jobs.py; `signal` of a job is
sent to Psi4 `after` s, on the first `times` tries (default: all).
"""

import json
import os
import resource
import sys
import threading
from pathlib import Path

from psi4_jobs import system_of

from psigraph.quantum import supervisor as supervisor_module
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.registry import select
from psigraph.quantum.supervisor import Limits, Psi4Child, Supervisor


class Assassin:
    """Sends a signal to whatever Psi4 process is given a job."""

    def __init__(self) -> None:
        self.job: dict = {}
        self.sent = 0

    def __call__(self, child: Psi4Child) -> None:
        if "signal" in self.job and self.sent < self.job.get("times", 99):
            self.sent += 1
            pid, number = child.process.pid, self.job["signal"]
            threading.Timer(self.job["after"], os.kill, (pid, number)).start()


def main() -> None:
    asked, results = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]).absolute()
    assassin = Assassin()
    send = Psi4Child.send

    def watched(child: Psi4Child, message: dict) -> None:
        send(child, message)
        if "key" in message:
            assassin(child)

    Psi4Child.send = watched  # type: ignore[method-assign]
    supervisor_module.GROWTH_MB = asked.get("growth_mb", supervisor_module.GROWTH_MB)
    if "address_space_mb" in asked:
        size = asked["address_space_mb"] << 20
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    level, answers = normalise_level(asked["level"]), []
    with Supervisor(level, ["energy"], Limits(**asked["limits"])) as supervisor:
        for job in asked["jobs"]:
            assassin.job, assassin.sent = job, 0
            system, starts = system_of(job), supervisor.starts
            record = supervisor.compute(system.key(level), system, select(job["features"]))
            answers.append(
                {
                    "status": record.status,
                    "message": record.message,
                    "attempts": list(record.attempts),
                    "wall_time": record.wall_time,
                    "limits": dict(record.limits),
                    "asked": list(record.asked),
                    "energy": float(record.values["energy"]) if record.ok else None,
                    "starts": supervisor.starts - starts,
                }
            )
    results.write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
