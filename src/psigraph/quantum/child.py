"""The process that holds Psi4: takes one system at a time from its parent, sends back what became of it.

Started by `supervisor.py` as `python -m psigraph.quantum.child SOCKET PARENT`. Messages from the parent are JSON; the
first one says how to start, see `Start`. Messages to the parent begin with one of the letters below.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.errors import MORE_MEMORY, classify, one_line
from psigraph.quantum.journal import encode
from psigraph.quantum.levels import LevelError
from psigraph.quantum.model import OK, Record, failed
from psigraph.quantum.psi4_runner import Psi4Session, check_system
from psigraph.quantum.system import System

#: First byte of a message to the parent: a line about an SCF attempt, a record, or JSON.
ATTEMPT, RECORD, JSON = b"A", b"R", b"J"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Start:
    """What the parent says first. Raises TypeError for keys that are missing or unknown."""

    level: dict[str, Any]  # normalised
    features: list[str]  # that may be asked for
    psi4_memory_mb: int
    scratch: str  # the parent removes it
    log: str | None  # where Psi4's own output is kept
    limits: dict[str, Any]  # what goes into records


def to_json(system: System) -> dict[str, Any]:
    """Return a system as JSON; numbers survive it exactly."""
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in asdict(system).items()}


def from_json(data: Mapping[str, Any]) -> System:
    """Return the system that `to_json` was given."""
    n = len(data["z"])
    return System(
        z=np.array(data["z"], dtype=np.int64),
        positions=np.array(data["positions"], dtype=np.float64).reshape(n, 3),
        fragment=np.array(data["fragment"], dtype=np.uint8),
        ghost=np.array(data["ghost"], dtype=bool),
        charges=(int(data["charges"][0]), int(data["charges"][1])),
        multiplicities=(int(data["multiplicities"][0]), int(data["multiplicities"][1])),
    )


def compute(session: Psi4Session, start: Start, job: Mapping[str, Any], connection: Connection) -> bytes:
    """Compute one job (key, system, names, file47) and return its record as bytes, whatever happens."""
    attempts: list[str] = []

    def note(line: str) -> None:
        attempts.append(line)
        connection.send_bytes(ATTEMPT + line.encode())

    names = tuple(job["names"])
    clock = time.monotonic()
    try:
        system = from_json(job["system"])
        check_system(system, names)
        file47 = Path(job["file47"]) if job["file47"] else None
        values = session.compute(system, start.level, names, note=note, file47=file47)
        record = Record(OK, values=values)
    except Exception as error:
        about = getattr(error, "features", ())
        status = classify(error)
        asked = about or (names if status in ("resources", "random") else ())
        advice = f"; {MORE_MEMORY}" if status == "resources" else ""
        message = one_line(error).replace(start.scratch, "SCRATCH")  # its name is another one every time
        record = failed(status, message + advice, asked=tuple(asked))
        if status == "random":
            sys.excepthook(*sys.exc_info())
    rest = {
        "attempts": tuple(attempts),
        "wall_time": time.monotonic() - clock,
        "psi4_version": session.version,
        "limits": start.limits,
    }
    return encode(job["key"], Record(**{**vars(record), **rest}))


def serve(connection: Connection) -> None:
    """Start Psi4 and answer until the parent hangs up."""
    start = Start(**json.loads(connection.recv_bytes()))
    try:
        session = Psi4Session(start.psi4_memory_mb, Path(start.log) if start.log else None, Path(start.scratch))
        session.check_basis(start.level["basis"], start.features)
    except (LevelError, ImportError, OSError) as error:
        connection.send_bytes(JSON + json.dumps({"error": type(error).__name__, "message": str(error)}).encode())
        return
    connection.send_bytes(JSON + json.dumps({"version": session.version}).encode())
    while True:
        try:
            job = json.loads(connection.recv_bytes())
        except EOFError:
            return
        if "elements" in job:
            from psigraph.quantum.basis_functions import functions_by_element

            found = functions_by_element(session.psi4, start.level["basis"], job["elements"])
            connection.send_bytes(JSON + json.dumps(found).encode())
        else:
            connection.send_bytes(RECORD + compute(session, start, job, connection))


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; elsewhere than on Linux it ends at its next message."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    die_with(int(sys.argv[2]))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the parent's business, which ends this process
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    try:
        serve(Connection(int(sys.argv[1])))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(1)


if __name__ == "__main__":
    main()
