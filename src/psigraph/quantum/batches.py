"""Which structure goes into which batch: by estimated cost, so that batches take equally long.

Every job of a dataset works the assignment out for itself, so it depends on nothing but the structures and the basis
set: costs are whole numbers, and ties go by index. Shapes: n structures, N atoms of one.
"""

import heapq
from collections.abc import Mapping

import numpy as np

from psigraph.structures.model import FRAGMENT_B, StructureSet

#: One SCF with the default features takes about COST_PREFACTOR · nbf^COST_EXPONENT seconds (density-fitted HF in Psi4,
#: one thread; nbf basis functions, ghosts' included). benchmarks/quantum.py measures both; these are 40 QM9
#: molecules on an AMD EPYC.
COST_EXPONENT = 2.6
COST_PREFACTOR = 6.2e-6  # s


def basis_functions(structures: StructureSet, nbf_by_element: Mapping[int, int]) -> np.ndarray:
    """Return the number of basis functions of each whole structure (n,).

    `nbf_by_element` gives the functions of an atom by atomic number; elements that are not there have none.
    """
    table = np.zeros(256, dtype=np.int64)  # atomic numbers are uint8
    for number, functions in nbf_by_element.items():
        table[number] = functions
    return _sums(table[structures.z], structures.offsets)


def n_systems(structures: StructureSet) -> np.ndarray:
    """Return how many SCFs each structure takes (n,): one for a molecule, three for a dimer."""
    in_b = _sums((structures.fragment == FRAGMENT_B).astype(np.int64), structures.offsets)
    return np.where(in_b > 0, 3, 1)


def _sums(by_atom: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.diff(np.concatenate([[0], np.cumsum(by_atom)])[offsets])


def structure_costs(
    structures: StructureSet, nbf_by_element: Mapping[int, int], time_limit: float = np.inf
) -> np.ndarray:
    """Return the cost of each structure (n,) int64: SCFs times nbf^COST_EXPONENT, in units of COST_PREFACTOR seconds.

    All three SCFs of a dimer have the dimer's functions; none takes longer than `time_limit` [s], for it is ended then.
    Rounded, so that no machine's last digit matters.
    """
    nbf = basis_functions(structures, nbf_by_element)
    one = np.minimum(np.maximum(nbf, 1) ** COST_EXPONENT, time_limit / COST_PREFACTOR)
    return n_systems(structures) * np.rint(one).astype(np.int64)


def assign(costs: np.ndarray, batches: int) -> np.ndarray:
    """Return the batch of each structure (n,) int64, from 0: the costliest first, each to the batch with least so far.

    No batch then costs more than 4/3 of the best possible (R. L. Graham, SIAM J. Appl. Math. 17, 416, 1969). Structures
    of equal cost go by index, batches of equal cost by number. Raises ValueError for less than one batch or negative
    costs.
    """
    costs = np.asarray(costs)
    if batches < 1:
        raise ValueError(f"structures cannot be divided into {batches} batches; give 1 or more")
    if costs.ndim != 1 or not (costs >= 0).all():
        raise ValueError("costs must be a list of numbers that are not negative")
    loads = [(0, batch) for batch in range(batches)]  # a heap: the least loaded first
    result = np.zeros(len(costs), dtype=np.int64)
    order = np.argsort(-costs, kind="stable")
    for i, cost in zip(order.tolist(), costs[order].tolist(), strict=True):
        load, batch = loads[0]
        result[i] = batch
        heapq.heapreplace(loads, (load + cost, batch))
    return result
