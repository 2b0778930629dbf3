"""One batch of shieldings: what is known comes from the content-addressed store, what is missing is computed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.descriptors.shieldings import (
    NAME,
    ShieldingError,
    functions_by_element,
    identity,
    require_pyscf,
    shieldings,
)
from psigraph.quantum.batches import assign, structure_costs
from psigraph.quantum.journal import Journals
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.model import Result
from psigraph.quantum.progress import Progress
from psigraph.quantum.store import write_quantum
from psigraph.quantum.system import systems_of
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures

logger = logging.getLogger(__name__)

PROGRAM = "pyscf"


@dataclass(frozen=True)
class ShieldingJob:
    """Which structures, at which level, and where results go."""

    structures: Path
    batch: int
    batches: int
    level: Mapping[str, Any]
    store: Path  # of the journals
    output: Path
    time_s: float = 3600.0  # of one structure
    memory_mb: int = 2000
    max_failed: float = 0.2


def build_shieldings(job: ShieldingJob) -> str:
    """Compute a batch, write its store and return the content digest.

    Every finished structure is kept at once, so a killed run loses the one it was at. Raises ShieldingError where PySCF
    is missing or more than `max_failed` of the batch fail (then no output is written), LevelError for a wrong level,
    StoreError for an unusable structure store.
    """
    require_pyscf()
    level = normalise_level(job.level)
    structures = read_structures(job.structures)
    costs = structure_costs(structures, functions_by_element(level["basis"], structures.z))
    rows = np.flatnonzero(assign(costs, job.batches) == job.batch)
    progress = Progress(costs[rows])
    results = []
    with Journals(job.store, identity(level)) as journals:
        for row in rows.tolist():
            result, known = _result(structures.structure(row), level, journals, job)
            progress.report(str(structures.ids[row]), result, known=known)
            results.append(result)
            _stop_if_too_many(progress, job)
    return write_quantum(
        job.output,
        ids=[str(i) for i in structures.ids[rows]],
        index=rows.tolist(),
        results=results,
        names=(NAME,),
        level=level,
        structures_digest=structures.digest,
        program=PROGRAM,
    )


def _result(
    structure: Structure, level: Mapping[str, Any], journals: Journals, job: ShieldingJob
) -> tuple[Result, bool]:
    """Return the shieldings of a structure and whether they were known."""
    origin, systems = systems_of(structure)
    system = systems[0]
    key = system.key(identity(level))
    limits = {"time_s": job.time_s, "memory_mb": job.memory_mb}
    record = journals.get(key, (NAME,), limits)
    known = record is not None
    if record is None:
        record = shieldings(system, level, time_s=job.time_s, memory_mb=job.memory_mb)
        journals.put(key, record)
    result = Result(
        record.status,
        record.message,
        values=dict(record.values),
        origin=origin,
        attempts=record.attempts,
        wall_time=record.wall_time,
        psi4_version=record.psi4_version,
        n_atoms=system.n_atoms,
        n_systems=len(systems),
    )
    return result, known


def _stop_if_too_many(progress: Progress, job: ShieldingJob) -> None:
    if len(progress.failures) <= job.max_failed * progress.total:
        return
    name, first = progress.failures[0]
    raise ShieldingError(
        f"batch {job.batch} of {job.batches} of {job.structures}: {len(progress.failures)} of {progress.total} "
        f"structures have no shieldings, more than the share of {job.max_failed} that max_failed allows; no output was "
        f"written. The first: {name}: {first.status}: {first.message}. Correct or leave out the structures, or raise "
        "quantum.max_failed in the configuration"
    )
