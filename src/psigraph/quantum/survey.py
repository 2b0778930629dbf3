"""Looks every system of a dataset up: what is known, what is to compute, how large it is, how long it may take.

A system is one SCF: a molecule, or a dimer, its A and its B. Shapes: n structures, s systems of all of them.
"""

import json
import logging
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.config import Config, ConfigError, did_you_mean
from psigraph.quantum.basis_functions import MARK
from psigraph.quantum.batches import assign, basis_functions, structure_costs
from psigraph.quantum.element_cache import known_functions
from psigraph.quantum.interpreter import InterpreterError, find_interpreter, worker_call
from psigraph.quantum.journal import Journals
from psigraph.quantum.levels import LevelError, normalise_level
from psigraph.quantum.model import applicable
from psigraph.quantum.system import System, systems_of
from psigraph.quantum.table import FEATURES
from psigraph.quantum.time_law import ENOUGH, TimeLaw, fit
from psigraph.stores import StoreError
from psigraph.structures.model import StructureSet
from psigraph.structures.store import read_structures

#: Asked with a basis set and atomic numbers; returns functions by atomic number, without what the basis lacks.
Ask = Callable[[str, Sequence[int]], dict[int, int]]

log = logging.getLogger(__name__)

RESULTS = Path("results")
#: So many wall times of other datasets are enough.
_MANY = 500
_TIMEOUT = 300  # s


@dataclass(frozen=True)
class Plan:
    """One dataset at one level, as the configuration has it."""

    dataset: str
    level_name: str
    level: Mapping[str, Any]  # normalised
    names: tuple[str, ...]  # features of Psi4
    batches: int
    store: Path
    limits: Mapping[str, float]  # time_s, memory_mb
    runtime_min: int

    @property
    def structures(self) -> Path:
        return RESULTS / "structures" / f"{self.dataset}.h5"


@dataclass(frozen=True)
class Survey:
    """What a plan comes to; `new` systems are those that would be computed."""

    plan: Plan
    n: int
    owner: np.ndarray  # (s,) structure of each system
    nbf: np.ndarray  # (s,) basis functions
    n_bytes: np.ndarray  # (s,) size of the numbers, by the shapes of the features
    known: np.ndarray  # (s,) bool
    equal: np.ndarray  # (s,) bool: equal to an earlier one
    without: np.ndarray  # (s,) bool: with an element that the basis lacks, not known yet
    ended: np.ndarray  # (s,) bool: left out because another system of its structure is a known failure
    failures: int  # among the known ones
    lacking: Mapping[int, int]  # element without a basis -> structures that have it
    batch: np.ndarray  # (n,) of each structure
    law: TimeLaw
    record_size: float | None  # mean in the journals; None where too few are there

    @property
    def new(self) -> np.ndarray:
        return ~(self.known | self.equal | self.without | self.ended)

    @property
    def seconds(self) -> np.ndarray:
        """Time of each new system, 0 for the others (s,)."""
        return np.where(self.new, self.law.seconds(self.nbf), 0.0)


def plans(config: Config, dataset: str | None = None, level: str | None = None) -> list[Plan]:
    """Return what the graphsets of a configuration need, or the one pair that is asked for.

    Raises ConfigError for an unknown dataset or level, and where nothing is left.
    """
    for kind, name, known in (("dataset", dataset, config.datasets), ("level", level, config.levels)):
        if name is not None and name not in known:
            raise ConfigError(f"no {kind} {name!r}{did_you_mean(name, known)}; known: {', '.join(known) or 'none'}")
    used = [
        (name, str(graphset.level))
        for graphset in config.graphsets.values()
        if graphset.level in config.levels
        for name in graphset.computed_datasets
    ]
    if dataset is not None and level is not None:
        pairs = [(dataset, level)]
    else:
        pairs = [p for p in dict.fromkeys(used) if dataset in (None, p[0]) and level in (None, p[1])]
    if not pairs:
        raise ConfigError("no graphset has Psi4 compute such a dataset; give --dataset and --level both")
    return [_plan(config, *pair) for pair in pairs]


def _plan(config: Config, dataset: str, level_name: str) -> Plan:
    level = config.levels[level_name]
    return Plan(
        dataset=dataset,
        level_name=level_name,
        level=normalise_level(level.identity()),
        names=tuple(name for name in level.computed() if FEATURES[name].program == "psi4"),
        batches=config.datasets[dataset].batches,
        store=config.quantum.store,
        limits={"time_s": config.quantum.time_limit_s, "memory_mb": config.quantum.memory_mb},
        runtime_min=config.quantum.runtime_min,
    )


def ask_psi4(basis: str, numbers: Sequence[int]) -> dict[int, int]:
    """Have Psi4's interpreter count functions by atomic number; elements that `basis` lacks are left out.

    Raises InterpreterError without Psi4, LevelError where it cannot use the basis set.
    """
    interpreter = find_interpreter()
    _, environment = worker_call(interpreter, Path(__file__).resolve().parents[2], [])
    command = [*interpreter.command, "-m", "psigraph.quantum.basis_functions", basis, *map(str, numbers)]
    with tempfile.TemporaryDirectory(prefix="psigraph-basis-") as folder:
        try:
            run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InterpreterError(f"{interpreter.command[0]}: {error}") from None
    line = next((line for line in run.stdout.splitlines() if line.startswith(MARK)), None)
    if run.returncode != 0 or line is None:
        lines = [text.strip() for text in run.stderr.splitlines() if text.strip()]
        raise LevelError(lines[-1] if lines else f"Psi4 ended with exit code {run.returncode}")
    return {int(number): int(count) for number, count in json.loads(line.removeprefix(MARK)).items()}


def survey(plan: Plan, ask: Ask = ask_psi4) -> Survey:
    """Look every system of a plan up. Raises StoreError where the structures are not there, with the command for it."""
    structures = read_structures(plan.structures)
    functions = _functions(plan, structures, ask)
    by_structure = basis_functions(structures, functions)
    owner, n_bytes, known, equal, times = [], [], [], [], []
    seen: set[str] = set()
    failed: list[int] = []  # structures
    with Journals(plan.store, plan.level) as journals:
        for i, system, key, wanted in _systems(plan, structures):
            record = journals.get(key, wanted, plan.limits) if len(journals) and key not in seen else None
            owner.append(i)
            n_bytes.append(_n_bytes(system, wanted, int(by_structure[i])))
            equal.append(key in seen)
            known.append(record is not None)
            if record is not None:
                if record.ok:
                    times.append((int(by_structure[i]), record.wall_time))
                else:
                    failed.append(i)
            seen.add(key)
        if len(times) < ENOUGH <= len(journals):
            times += _times_of_others(plan, journals, ask)
        record_size = journals.mean_size() if len(journals) >= ENOUGH else None
    measured = np.array(times, dtype=np.float64).reshape(-1, 2)
    owners, is_known = np.array(owner, dtype=np.int64), np.array(known, dtype=bool)
    lacks = np.isin(owners, _owners(structures)[~np.isin(structures.z, list(functions))])
    return Survey(
        plan=plan,
        n=structures.n,
        owner=owners,
        nbf=by_structure[owners],
        n_bytes=np.array(n_bytes, dtype=np.float64),
        known=is_known,
        equal=np.array(equal, dtype=bool),
        without=lacks & ~is_known,
        ended=np.isin(owners, failed) & ~is_known,
        failures=len(failed),
        lacking=_lacking(structures, functions),
        batch=assign(structure_costs(structures, functions, plan.limits["time_s"]), plan.batches),
        law=fit(measured[:, 0], measured[:, 1]),
        record_size=record_size,
    )


def _functions(plan: Plan, structures: StructureSet, ask: Ask) -> dict[int, int]:
    basis = plan.level["basis"]
    return known_functions(plan.store, basis, np.unique(structures.z), lambda numbers: ask(basis, numbers))


def _systems(plan: Plan, structures: StructureSet) -> Iterator[tuple[int, System, str, tuple[str, ...]]]:
    """Yield structure, system, key and the features that apply."""
    names: dict[bool, tuple[str, ...]] = {}
    for i, structure in enumerate(structures):
        for system in systems_of(structure)[1]:
            if system.is_whole not in names:
                names[system.is_whole] = applicable(system, plan.names)
            yield i, system, system.key(plan.level), names[system.is_whole]


def _times_of_others(plan: Plan, journals: Journals, ask: Ask) -> list[tuple[int, float]]:
    """Return (basis functions, wall time [s]) of what is known of other datasets at the same level."""
    times = []
    for path in sorted(plan.structures.parent.glob("*.h5")):
        if path == plan.structures:
            continue
        try:
            structures = read_structures(path)
        except StoreError as error:
            log.warning("wall times of %s are left out: %s", path.stem, error)
            continue
        by_structure = basis_functions(structures, _functions(plan, structures, ask))
        for i, _, key, wanted in _systems(plan, structures):
            record = journals.get(key, wanted)
            if record is not None and record.ok:
                times.append((int(by_structure[i]), record.wall_time))
            if len(times) >= _MANY:
                return times
    return times


def _owners(structures: StructureSet) -> np.ndarray:
    """Return the structure of each atom (ΣN,)."""
    return np.repeat(np.arange(structures.n), structures.n_atoms)


def _lacking(structures: StructureSet, functions: Mapping[int, int]) -> dict[int, int]:
    owner = _owners(structures)
    missing = [int(number) for number in np.unique(structures.z) if int(number) not in functions]
    return {number: len(np.unique(owner[structures.z == number])) for number in missing}


def _n_bytes(system: System, names: Sequence[str], nbf: int) -> float:
    """Return about how many bytes the features of a system take; there are about as many bonds as atoms."""
    n = system.n_atoms
    rows = {
        "system": 1,
        "structure": 1,
        "atom": n,
        "bond": n,
        "nbo": nbf,
        "donation": 50,
        "element": nbf**2 / max(n, 1),
    }
    return sum(
        rows[FEATURES[name].per] * float(np.prod(FEATURES[name].shape)) * np.dtype(FEATURES[name].dtype).itemsize
        for name in names
    )
