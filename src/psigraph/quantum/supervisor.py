"""Keeps a warm Psi4 in a process of its own, within limits of time and memory, and outlives whatever happens to it.

Psi4 1.3.2 can crash, run out of memory or take hours, and leaks about 0.3 MB per SCF. Here such a process is killed or
found dead, replaced, and the one system it was at gets a failure as its record.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from psigraph.quantum.child import ATTEMPT, JSON, RECORD, Start, to_json
from psigraph.quantum.errors import MORE_MEMORY, QuantumError, classify_text
from psigraph.quantum.journal import decode
from psigraph.quantum.levels import LevelError
from psigraph.quantum.model import Record, failed
from psigraph.quantum.scratch import Scratch
from psigraph.quantum.system import System

log = logging.getLogger(__name__)

#: What Python, Psi4's libraries and this process take before any integral [MB]; measured 90 + 60.
BASELINE_MB = 200
#: Psi4 is told of this share of the rest; it counts its large arrays only.
PSI4_SHARE = 0.8
MIN_PSI4_MB = 250
#: Smallest memory of a job [MB].
MIN_MEMORY_MB = BASELINE_MB + MIN_PSI4_MB
#: A process this much larger than after its start [MB], and above half of the memory, is replaced between two systems.
GROWTH_MB = 100
#: Attempts at a system on which Psi4 crashes or fails for no known reason, each in a fresh process.
TRIES = 2
_START_LIMIT = 300.0  # s
_LOOK_EVERY = 0.1  # s, at the memory of the process
_MAX_OUTPUT = 20000  # bytes
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Limits:
    """What one system may use: time [s], and memory of both processes together [MB]."""

    time_s: float
    memory_mb: int

    @property
    def psi4_memory_mb(self) -> int:
        """What Psi4 is told it may use [MB]."""
        return max(MIN_PSI4_MB, int((self.memory_mb - BASELINE_MB) * PSI4_SHARE))


def resident_mb(pid: int) -> float:
    """Return the memory a process occupies [MB]; 0 where the system does not tell or the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB
    except (OSError, IndexError, ValueError):
        return 0.0


class ChildDied(Exception):
    """The process ended by itself; the message says how, `text` is the end of what it wrote."""

    def __init__(self, returncode: int, text: str) -> None:
        self.text = text
        self.out_of_memory = classify_text(text) == "resources"
        killed = returncode == -signal.SIGKILL
        said = [line.split("what():")[1].strip() for line in text.splitlines() if "what():" in line]
        self.status = "resources" if self.out_of_memory or killed else "random"
        try:
            how = f"died of {signal.Signals(-returncode).name}" if returncode < 0 else f"ended with code {returncode}"
        except ValueError:
            how = f"died of signal {-returncode}"
        if killed:
            how += ", which is how the system ends a process when memory runs out"
        message = ": ".join([f"Psi4 {how}", *said[-1:]])
        super().__init__(f"{message}; {MORE_MEMORY}" if self.status == "resources" else message)


class OverLimit(Exception):
    """A system used more than it may; the message says of what, and which key of the configuration to change."""


class Psi4Child:
    """One such process; the scratch folder is removed with it."""

    def __init__(self, start: Start, scratch: Scratch) -> None:
        """Start it. Raises LevelError for a level it cannot do, QuantumError where Psi4 does not start."""
        self.scratch = scratch
        ours, theirs = socket.socketpair()
        self.connection = Connection(ours.detach())
        with theirs, open(scratch.path / "stderr", "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "psigraph.quantum.child", str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=scratch.path,
            )
        try:
            self.version = self._greet(start)
        except BaseException:
            self.kill()
            raise
        self.rest_mb = self.memory_mb

    def _greet(self, start: Start) -> str:
        """Say how to start and return Psi4's version."""
        self.send(asdict(start))
        try:
            answer = json.loads(self.receive(JSON, lambda: self.check_time(_START_LIMIT)))
        except ChildDied as error:
            raise QuantumError(f"Psi4 does not start: {error}: {error.text or 'it wrote nothing'}") from None
        except OverLimit:
            raise QuantumError(f"Psi4 does not start within {_START_LIMIT:g} s; is its file system slow?") from None
        if "error" in answer:
            raise (LevelError if answer["error"] == "LevelError" else QuantumError)(answer["message"])
        return str(answer["version"])

    @property
    def memory_mb(self) -> float:
        return resident_mb(self.process.pid)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; the clock of `check_time` starts. A dead process is noticed by `receive`."""
        self.clock = time.monotonic()
        self.written = (self.scratch.path / "stderr").stat().st_size
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(json.dumps(message).encode())

    def receive(self, kind: bytes, check: Callable[[], None], note: Callable[[str], None] = lambda line: None) -> bytes:
        """Wait for a message of a kind and return it, passing lines about attempts to `note`.

        `check` is called several times per second and may raise. Raises ChildDied.
        """
        while True:
            try:
                while not self.connection.poll(_LOOK_EVERY):
                    check()
                message = self.connection.recv_bytes()
            except (EOFError, ConnectionResetError, BrokenPipeError):
                raise ChildDied(self.process.wait(), self.last_words()) from None
            if message[:1] == kind:
                return message[1:]
            if message[:1] == ATTEMPT:
                note(message[1:].decode())

    def check_time(self, limit: float) -> None:
        """Raise OverLimit where more than `limit` seconds have passed since the last message was sent."""
        if time.monotonic() - self.clock > limit:
            raise OverLimit(
                f"took longer than {limit:g} s (quantum.time_limit_s); raise the limit, or leave the structure out"
            )

    def check_memory(self, limit: int) -> None:
        """Raise OverLimit where this process and the parent together occupy more than `limit` MB."""
        used = self.memory_mb + resident_mb(os.getpid())
        if used > limit:
            log.warning("Psi4 and this process occupy %.0f MB", used)
            raise OverLimit(
                f"needs more memory than {limit} MB (quantum.memory_mb); raise the limit, or leave the structure out"
            )

    def last_words(self) -> str:
        """Return what the process wrote since the last message to it, without the less telling lines of a crash."""
        with contextlib.suppress(OSError), open(self.scratch.path / "stderr", "rb") as output:
            output.seek(self.written)
            lines = output.read(_MAX_OUTPUT).decode(errors="replace").splitlines()
            return "\n".join(line for line in lines if not line.startswith("Extension modules:")).strip()
        return ""

    def kill(self) -> None:
        """End the process at once and remove its scratch folder."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.scratch.remove()


class Supervisor:
    """Computes systems at one level; starts Psi4 when it is first needed, and again whenever it has to."""

    def __init__(
        self, level: Mapping[str, Any], features: Sequence[str], limits: Limits, psi4_log: Path | None = None
    ) -> None:
        self.level, self.features, self.limits, self.psi4_log = dict(level), list(features), limits, psi4_log
        self.starts = 0
        self._child: Psi4Child | None = None

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End Psi4 and remove its scratch folder."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    @property
    def child(self) -> Psi4Child:
        """The running process. Raises LevelError or QuantumError where it cannot be started."""
        if self._child is None:
            self.starts += 1
            scratch = Scratch()
            start = Start(
                level=self.level,
                features=self.features,
                psi4_memory_mb=self.limits.psi4_memory_mb,
                scratch=str(scratch.path),
                log=str(self.psi4_log) if self.psi4_log else None,
                limits=asdict(self.limits),
            )
            self._child = Psi4Child(start, scratch)
        return self._child

    def functions_by_element(self, numbers: Iterable[int]) -> dict[int, int]:
        """Return how many basis functions an atom of each atomic number has; what the basis lacks is left out."""
        child = self.child
        child.send({"elements": list(numbers)})
        try:
            answer = json.loads(child.receive(JSON, lambda: child.check_time(_START_LIMIT)))
        except (ChildDied, OverLimit) as error:
            self.close()
            raise QuantumError(f"Psi4 cannot read the basis {self.level['basis']!r}: {error}") from None
        return {int(number): int(functions) for number, functions in answer.items()}

    def compute(self, key: str, system: System, names: Sequence[str], file47: Path | None = None) -> Record:
        """Return the record of a system with the features `names`; whatever happens to Psi4 is a record too."""
        job = {"key": key, "system": to_json(system), "names": list(names), "file47": str(file47) if file47 else None}
        for left in reversed(range(TRIES)):
            record, again = self._try(job)
            if not again:
                break
            self.close()
            if left:
                log.warning("%s; once more in a fresh process", record.message)
        self._rest()
        return record

    def _try(self, job: Mapping[str, Any]) -> tuple[Record, bool]:
        """Compute a job once; return its record, and whether a fresh process may do better."""
        child = self.child
        attempts: list[str] = []

        def check() -> None:
            child.check_time(self.limits.time_s)
            child.check_memory(self.limits.memory_mb)

        child.send(job)
        try:
            record = decode(child.receive(RECORD, check, attempts.append))[1]
            if record.status == "resources" or (record.asked and not record.ok):
                self.close()  # who knows what it still holds: after a failed MP2, Psi4's later ones hang
            return record, record.status == "random"
        except OverLimit as error:
            status, message, again = "resources", str(error), False
        except ChildDied as error:
            log.warning("%s. The end of its output: %s", error, error.text or "nothing")
            status, message, again = error.status, str(error), not error.out_of_memory
        self.close()
        record = failed(
            status,
            message,
            attempts=tuple(attempts),
            wall_time=time.monotonic() - child.clock,
            psi4_version=child.version,
            limits=asdict(self.limits),
            asked=tuple(job["names"]),
        )
        return record, again

    def _rest(self) -> None:
        """Replace a process that has grown too large for the next system."""
        if self._child is None:
            return
        used = self._child.memory_mb
        if used > max(self.limits.memory_mb / 2, self._child.rest_mb + GROWTH_MB):
            log.info("Psi4 occupies %.0f MB after %d start(s) and is started anew", used, self.starts)
            self.close()
