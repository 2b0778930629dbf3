"""Structure stores and quantum stores of synthetic rows in the real format, as the stages write them."""

import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from psigraph.config import Level
from psigraph.quantum.batches import assign, structure_costs
from psigraph.quantum.model import Result
from psigraph.quantum.store import write_quantum
from psigraph.quantum.table import FEATURES
from psigraph.structures import qm9
from psigraph.structures.model import Structure
from psigraph.structures.store import read_structures, write_structures

LEVEL = Level(method="hf", basis="def2-svp")
#: The features that such a level computes by default, natural bond orbitals included.
NAMES = [name for name in LEVEL.computed() if FEATURES[name].program == "psi4"]
_DENSITY = 0.1  # atoms/Å³, of organic matter


def qm9_structures(n: int, *, dimers: bool) -> list[Structure]:
    """Return n evenly spread molecules of QM9 with made-up labels; as `dimers` cut in two halves of their atoms."""
    dataset = SimpleNamespace(path=None, min_heavy_atoms=1, max_heavy_atoms=None, max_structures=n)
    structures = [s for s in qm9.read(dataset).structures if not dimers or s.n_atoms > 1]
    for number, structure in enumerate(structures):
        structure.v_ref = float(number % 97)
        structure.group = structure.id
        if dimers:
            structure.fragment = (np.arange(structure.n_atoms) >= structure.n_atoms // 2).astype(np.uint8)
    return structures


def random_dimers(n: int, n_atoms: int) -> list[Structure]:
    """Return n dimers of `n_atoms` random points in a cube, as dense as organic matter."""
    rng = np.random.default_rng(n_atoms)
    edge = (n_atoms / _DENSITY) ** (1 / 3)  # Å
    return [
        Structure(
            id=f"random{number}",
            z=rng.choice([1, 6, 7, 8], n_atoms),
            positions=rng.random((n_atoms, 3)) * edge,
            fragment=np.arange(n_atoms) >= n_atoms // 2,
            v_ref=0.0,
        )
        for number in range(n)
    ]


def write_stores(folder: Path, name: str, structures: list[Structure], batches: int) -> tuple[Path, list[Path]]:
    """Write the structure store and the quantum files, batches dealt out as the worker does; return their paths."""
    path = folder / f"{name}.h5"
    write_structures(path, structures, unit="kcal/mol", settings={"source": "benchmark"})
    stored = read_structures(path)
    functions = {number: 5 if number < 3 else 14 for number in range(1, 10)}  # def2-SVP
    batch_of = assign(structure_costs(stored, functions), batches)
    pool = np.random.default_rng(0).normal(size=1 << 20)
    files = []
    for batch in range(batches):
        rows = np.flatnonzero(batch_of == batch).tolist()
        files.append(folder / name / f"{batch}.h5")
        write_quantum(
            files[-1],
            ids=[structures[row].id for row in rows],
            index=rows,
            results=list(_results((structures[row] for row in rows), pool)),
            names=NAMES,
            level=LEVEL.identity(),
            structures_digest=stored.digest,
        )
    return path, files


def _results(structures: Iterable[Structure], pool: np.ndarray) -> Iterable[Result]:
    """Yield results in the shapes of the table; their numbers are pieces of `pool`."""
    for number, structure in enumerate(structures):
        n, systems = structure.n_atoms, 3 if structure.is_dimer else 1
        n_functions = int(np.where(structure.z < 3, 5, 14).sum())
        lead = {"system": (systems,), "structure": (), "atom": (n,), "bond": (n,), "nbo": (n_functions,)}
        values = {}
        for name in NAMES:
            feature = FEATURES[name]
            shape = (*lead.get(feature.per, (4 * n,)), *feature.shape)
            size = math.prod(shape)
            start = (number * 7919 + len(values)) % (len(pool) - size)
            values[name] = pool[start : start + size].reshape(shape).astype(feature.dtype)
        yield Result(
            "ok",
            values=values,
            origin=structure.positions.mean(axis=0),
            attempts=("HF/def2-SVP, SAD guess, converged in 11 iterations",) * systems,
            wall_time=1.0,
            psi4_version="1.3.2",
            n_atoms=n,
            n_systems=systems,
        )
