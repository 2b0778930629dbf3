"""Computes one batch of structures with Psi4: `python -m psigraph.quantum.worker` in the Psi4 interpreter.

One warm process with one thread. Every result goes to the content-addressed store at once, so that a killed run loses
only the structure it was at; a second run finds what is known and computes the rest.
"""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.errors import QuantumError
from psigraph.quantum.interpreter import ONE_THREAD
from psigraph.quantum.levels import LevelError, normalise_level
from psigraph.quantum.model import Dimer, DimerResult, failed
from psigraph.quantum.psi4_runner import Psi4Session, compute_dimer, remove_scratch
from psigraph.quantum.records import MAX_CRASHES, Records, record_key
from psigraph.quantum.store import write_quantum
from psigraph.stores import StoreError
from psigraph.structures.model import StructureSet
from psigraph.structures.store import read_structures

log = logging.getLogger("psigraph.quantum")

#: Psi4 may use this share of the process's memory; the rest is for Python and what Psi4 does not count.
PSI4_SHARE = 0.8
MIN_PSI4_MB = 250


@dataclass(frozen=True)
class Job:
    """One batch: which structures, at which level, and where results go."""

    structures: Path
    batch: int
    batches: int
    level: Mapping[str, Any]
    store: Path
    output: Path
    memory_mb: int = 2000
    max_failed: float = 0.2
    psi4_log: Path | None = None


@dataclass
class Progress:
    """Counts of a batch, and what they say about the time left."""

    total: int
    clock: float = field(default_factory=time.monotonic)
    computed: int = 0
    known: int = 0
    failures: list[tuple[str, DimerResult]] = field(default_factory=list)

    def line(self) -> str:
        """Return done, failed, rate and time left."""
        done = self.computed + self.known
        text = f"done {done}/{self.total}, failed {len(self.failures)}"
        if self.computed:
            each = (time.monotonic() - self.clock) / self.computed  # s
            left = each * (self.total - done)
            text += f", {60 / each if each else 0:.1f} per minute, about {left / 60:.1f} min left"
        return text


class Computer:
    """Looks results up and computes what is missing; Psi4 starts with the first structure that needs it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.records = Records(job.store, job.level)
        self._session: Psi4Session | None = None

    def session(self) -> Psi4Session:
        if self._session is None:
            session = Psi4Session(max(MIN_PSI4_MB, int(self.job.memory_mb * PSI4_SHARE)), self.job.psi4_log)
            session.check_basis(self.job.level["basis"])
            self._session = session
        return self._session

    def result(self, dimer: Dimer) -> tuple[DimerResult, bool]:
        """Return the result of a dimer and whether it was known already."""
        key = record_key(dimer, self.job.level)
        kept = self.records.get(key, dimer.n_atoms)
        if kept is not None:
            return kept, True
        crashes, message = self.records.crashes(key)
        if crashes >= MAX_CRASHES:
            return failed("random", message, dimer.n_atoms), True
        session = self.session()
        with self.records.watch(key):
            result = compute_dimer(session, dimer, self.job.level)
        self.records.put(key, result)
        return result, False


def dimer_of(structures: StructureSet, i: int) -> Dimer:
    """Return structure i as Psi4 needs it."""
    s = structures.structure(i)
    return Dimer(
        s.z, s.positions, s.fragment, (s.charge[0], s.charge[1]), (int(s.multiplicity[0]), int(s.multiplicity[1]))
    )


def run(job: Job) -> str:
    """Compute a batch, write its quantum store and return the store's digest.

    Raises QuantumError where more than `max_failed` of the batch fail; then no output is written, but the records are.
    """
    structures = read_structures(job.structures)
    rows = np.arange(job.batch, structures.n, job.batches)
    where = f"batch {job.batch} of {job.batches} of {job.structures}"
    log.info("%s: %d structures, level %s", where, len(rows), json.dumps(job.level, sort_keys=True))
    progress = Progress(len(rows))
    results: list[DimerResult] = []
    computer = Computer(job)
    for row in rows:
        name = str(structures.ids[row])
        result, known = computer.result(dimer_of(structures, int(row)))
        results.append(result)
        _report(progress, name, result, known)
        if len(progress.failures) > job.max_failed * len(rows):
            _stop(progress, job, where)
    digest = write_quantum(
        job.output,
        ids=[str(i) for i in structures.ids[rows]],
        index=rows.tolist(),
        results=results,
        level=job.level,
        structures_digest=structures.digest,
    )
    log.info(
        "%s: %d structures, %d computed, %d known, %d failed; wrote %s",
        where,
        progress.total,
        progress.computed,
        progress.known,
        len(progress.failures),
        job.output,
    )
    return digest


def _report(progress: Progress, name: str, result: DimerResult, known: bool) -> None:
    """Count one structure and write its line."""
    progress.known += known
    progress.computed += not known
    if not result.ok:
        progress.failures.append((name, result))
    verb = "known" if known else f"computed in {result.wall_time:.1f} s"
    if result.ok:
        log.info("%s: %s; %s", name, verb, progress.line())
    else:
        log.warning("%s: %s, failed (%s): %s; %s", name, verb, result.status, result.message, progress.line())


def _stop(progress: Progress, job: Job, where: str) -> None:
    """Raise QuantumError with the first failure."""
    name, first = progress.failures[0]
    raise QuantumError(
        f"{where}: {len(progress.failures)} of {progress.total} structures failed, more than the share of "
        f"{job.max_failed} that max_failed allows; no output was written. The first: {name}: {first.status}: "
        f"{first.message}. Correct or leave out the structures, or raise quantum.max_failed in the configuration"
    )


def parse(arguments: Sequence[str] | None = None) -> Job:
    """Turn command-line arguments into a job; paths become absolute. Exits with a usage message for wrong ones."""
    parser = argparse.ArgumentParser(prog="psigraph.quantum.worker", description=__doc__)
    parser.add_argument("--structures", type=Path, required=True, help="structure store of the dataset")
    parser.add_argument("--batch", type=int, required=True, help="number of this batch, from 0")
    parser.add_argument("--batches", type=int, required=True, help="number of batches of the dataset")
    parser.add_argument("--level", required=True, help="level of theory as JSON")
    parser.add_argument("--store", type=Path, required=True, help="folder of the content-addressed store")
    parser.add_argument("--output", type=Path, required=True, help="quantum store to write")
    parser.add_argument("--memory-mb", type=int, default=2000, help="memory of this process [MB]")
    parser.add_argument("--max-failed", type=float, default=0.2, help="stop where a larger share of the batch fails")
    parser.add_argument("--psi4-log", type=Path, help="keep Psi4's own output here")
    a = parser.parse_args(arguments)
    if not 0 <= a.batch < a.batches:
        parser.error(f"--batch {a.batch}: batches are numbered 0 to {a.batches - 1}")
    if a.memory_mb < MIN_PSI4_MB:
        parser.error(f"--memory-mb {a.memory_mb}: Psi4 takes at least {MIN_PSI4_MB} MB")
    try:
        level = normalise_level(json.loads(a.level))
    except (LevelError, json.JSONDecodeError, AttributeError, TypeError) as error:
        parser.error(f"--level {a.level!r}: {error}")
    return Job(
        structures=a.structures.absolute(),
        batch=a.batch,
        batches=a.batches,
        level=level,
        store=a.store.absolute(),
        output=a.output.absolute(),
        memory_mb=a.memory_mb,
        max_failed=a.max_failed,
        psi4_log=a.psi4_log.absolute() if a.psi4_log else None,
    )


def _on_sigterm(number: int, frame: Any) -> None:
    """Remove the scratch folder and die of the signal. An exception could get lost inside Psi4."""
    remove_scratch()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one batch; return the exit code. Everything is logged to standard error."""
    os.environ.update(ONE_THREAD)  # before NumPy's and Psi4's first parallel region
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _on_sigterm)
    job = parse(arguments)
    try:
        run(job)
    except (QuantumError, LevelError, StoreError, ImportError, OSError) as error:
        log.error("%s", error)
        return 1
    except Exception:
        log.exception("batch %d of %s stopped by an unforeseen error", job.batch, job.structures)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
