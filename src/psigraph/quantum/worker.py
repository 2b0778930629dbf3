"""Computes one batch of structures with Psi4: `python -m psigraph.quantum.worker` in the Psi4 interpreter.

This process never imports Psi4: a child does, and only where something is missing. Every record goes to the journal at
once, so that a killed run loses only the system it was at; a second run finds what is known and computes the rest.
"""

import argparse
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.batches import assign, structure_costs
from psigraph.quantum.element_cache import known_functions
from psigraph.quantum.errors import QuantumError
from psigraph.quantum.interpreter import ONE_THREAD
from psigraph.quantum.journal import JournalError, Journals
from psigraph.quantum.levels import LevelError, check_level, normalise_level
from psigraph.quantum.model import Record, Result, applicable, assemble
from psigraph.quantum.progress import Progress
from psigraph.quantum.registry import select
from psigraph.quantum.scratch import remove_stale
from psigraph.quantum.store import write_quantum
from psigraph.quantum.supervisor import MIN_MEMORY_MB, Limits, Supervisor
from psigraph.quantum.system import System, systems_of
from psigraph.quantum.table import FEATURES
from psigraph.stores import StoreError, digest_of
from psigraph.structures.store import read_structures

log = logging.getLogger("psigraph.quantum")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Job:
    """One batch: which structures, at which level, and where results go."""

    structures: Path
    batch: int
    batches: int
    level: dict[str, Any]  # normalised
    features: tuple[str, ...]  # names of the table, Psi4's only
    store: Path
    output: Path
    limits: Limits
    max_failed: float = 0.2
    file47: Path | None = None
    psi4_log: Path | None = None


@dataclass
class Computer:
    """Looks systems up and has missing ones computed."""

    job: Job
    journals: Journals
    supervisor: Supervisor
    computed: int = field(default=0, init=False)  # systems

    def result(self, origin: np.ndarray, systems: Sequence[System], name: str) -> Result:
        """Return the result of a structure; the first system that fails ends it."""
        records: list[Record] = []
        for system in systems:
            records.append(self._record(system, name))
            if not records[-1].ok:
                break
        return assemble(origin, systems, records, self.job.features)

    def _record(self, system: System, name: str) -> Record:
        key = system.key(self.job.level)
        names = applicable(system, self.job.features)
        file47 = self.job.file47 / f"{_file_name(name)}.47" if self.job.file47 and system.is_whole else None
        record = self.journals.get(key, names, limits=asdict(self.job.limits))
        if record is not None and (file47 is None or file47.exists() or not record.ok):
            return record
        record = self.supervisor.compute(key, system, names, file47)
        self.journals.put(key, record)
        self.computed += 1
        return record


def _file_name(structure_id: str) -> str:
    """Return an id as a file name, another one for every id."""
    name = re.sub(r"[^\w.+-]", "_", structure_id)
    return name if name == structure_id else f"{name}-{digest_of(structure_id)[:8]}"


def run(job: Job) -> str:
    """Compute a batch, write its quantum store and return the store's digest.

    Raises QuantumError where more than `max_failed` of the batch fail; then no output is written, but the records are.
    """
    structures = read_structures(job.structures)
    where = f"batch {job.batch} of {job.batches} of {job.structures}"
    journals = Journals(job.store, job.level)
    stale = remove_stale()
    if stale:
        log.info("removed %d scratch folders of killed workers", stale)
    with Supervisor(job.level, job.features, job.limits, job.psi4_log) as supervisor:
        functions = known_functions(
            job.store, job.level["basis"], np.unique(structures.z), supervisor.functions_by_element
        )
        costs = structure_costs(structures, functions, job.limits.time_s)
        rows = np.flatnonzero(assign(costs, job.batches) == job.batch)
        log.info("%s: %d structures, level %s", where, len(rows), json.dumps(job.level, sort_keys=True))
        progress = Progress(costs[rows])
        computer = Computer(job, journals, supervisor)
        results: list[Result] = []
        for row in rows:
            before = computer.computed
            name = str(structures.ids[row])
            results.append(computer.result(*systems_of(structures.structure(int(row))), name))
            progress.report(name, results[-1], known=computer.computed == before)
            if len(progress.failures) > job.max_failed * len(rows):
                _stop(progress, job, where)
    digest = write_quantum(
        job.output,
        ids=[str(i) for i in structures.ids[rows]],
        index=rows.tolist(),
        results=results,
        names=job.features,
        level=job.level,
        structures_digest=structures.digest,
    )
    log.info(
        "%s: %d structures, %d computed, %d known, %d failed; %d systems computed, Psi4 started %d times; wrote %s",
        where,
        len(rows),
        progress.computed,
        progress.known,
        len(progress.failures),
        computer.computed,
        supervisor.starts,
        job.output,
    )
    return digest


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
    parser.add_argument("--features", default="default", help="names of features, separated by commas")
    parser.add_argument("--store", type=Path, required=True, help="folder of the content-addressed store")
    parser.add_argument("--output", type=Path, required=True, help="quantum store to write")
    parser.add_argument(
        "--time-limit", type=float, default=3600.0, help="longest time for one SCF with its features [s]"
    )
    parser.add_argument("--memory-mb", type=int, default=2000, help="memory of this process and Psi4's together [MB]")
    parser.add_argument("--max-failed", type=float, default=0.2, help="stop where a larger share of the batch fails")
    parser.add_argument("--file47", type=Path, help="folder for the NBO program's input files")
    parser.add_argument("--psi4-log", type=Path, help="keep Psi4's own output here")
    a = parser.parse_args(arguments)
    if not 0 <= a.batch < a.batches:
        parser.error(f"--batch {a.batch}: batches are numbered 0 to {a.batches - 1}")
    if a.memory_mb < MIN_MEMORY_MB:
        parser.error(f"--memory-mb {a.memory_mb}: Psi4 and this process take at least {MIN_MEMORY_MB} MB")
    if not a.time_limit > 0:
        parser.error(f"--time-limit {a.time_limit}: is not above zero")
    try:
        level = normalise_level(json.loads(a.level))
        names = select(filter(None, a.features.split(",")))
        check_level(level, names)
    except (ValueError, AttributeError, TypeError) as error:
        parser.error(f"--level {a.level!r} --features {a.features!r}: {error}")
    return Job(
        structures=a.structures.absolute(),
        batch=a.batch,
        batches=a.batches,
        level=level,
        features=tuple(name for name in names if FEATURES[name].program == "psi4"),
        store=a.store.absolute(),
        output=a.output.absolute(),
        limits=Limits(a.time_limit, a.memory_mb),
        max_failed=a.max_failed,
        file47=a.file47.absolute() if a.file47 else None,
        psi4_log=a.psi4_log.absolute() if a.psi4_log else None,
    )


class Terminated(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def _terminate(number: int, frame: Any) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # the clean-up is short
    raise Terminated(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one batch; return the exit code. Everything is logged to standard error."""
    os.environ.update(ONE_THREAD)  # before NumPy's and Psi4's first parallel region
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    job = parse(arguments)
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _terminate)
    try:
        run(job)
    except (QuantumError, LevelError, StoreError, JournalError, ImportError, OSError) as error:
        log.error("%s", error)
        return 1
    except Terminated as error:  # die of the signal, so that whoever waits sees it
        signal.signal(error.number, signal.SIG_DFL)
        os.kill(os.getpid(), error.number)
    except Exception:
        log.exception("batch %d of %s stopped by an unforeseen error", job.batch, job.structures)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
