"""Features of atoms, bonds and the structure that follow from Lewis structures, fragment by fragment."""

import numpy as np

from psigraph.descriptors.chirality import chirality
from psigraph.descriptors.perception import perceive
from psigraph.quantum.system import System

#: Names of the features that `lewis_features` returns.
FEATURES = (
    "hybridisation",
    "aromatic",
    "ring_size",
    "formal_charge",
    "cip_label",
    "stereocentres",
    "rdkit_order",
    "resonance_order",
)
_NAMES = ("A", "B")


def lewis_features(system: System) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the features of a whole molecule or dimer, and a reason for each fragment without Lewis structure.

    Of such a fragment orders and formal charges are NaN, `stereocentres` too; labels are 0; ring sizes stay.
    """
    n, bonds = system.n_atoms, system.bonds
    values = {name: np.zeros(n, dtype=np.int64) for name in ("hybridisation", "aromatic", "ring_size", "cip_label")}
    values["formal_charge"] = np.full(n, np.nan)
    values |= {name: np.full(len(bonds), np.nan) for name in ("rdkit_order", "resonance_order")}
    counts = np.zeros(3)
    failures = []
    for fragment in np.unique(system.fragment):
        atoms = np.flatnonzero(system.fragment == fragment)
        rows = np.flatnonzero(system.fragment[bonds[:, 0]] == fragment)
        failure, found = _fragment(system, int(fragment), atoms, rows, values)
        counts += found
        if failure:
            failures.append(f"{_NAMES[fragment]}: {failure}" if system.is_dimer else failure)
    return values | {"stereocentres": counts}, failures


def _fragment(
    system: System, fragment: int, atoms: np.ndarray, rows: np.ndarray, values: dict[str, np.ndarray]
) -> tuple[str, np.ndarray]:
    """Fill in the values of one fragment's `atoms` and bonds (`rows`); return why not, and its stereocentres (3,)."""
    local = np.searchsorted(atoms, system.bonds[rows])  # (P, 2)
    lewis, places = perceive(
        system.z[atoms], system.positions[atoms], local, system.charges[fragment], system.multiplicities[fragment]
    )
    where = atoms[places]  # of each atom of `lewis`
    stereo = chirality(lewis, system.positions[where])
    for name in ("hybridisation", "aromatic", "ring_size", "formal_charge"):
        values[name][where] = getattr(lewis, name)
    values["cip_label"][where] = stereo.labels
    row_of = {tuple(sorted(pair)): row for pair, row in zip(system.bonds[rows].tolist(), rows, strict=True)}
    target = [row_of[tuple(sorted(pair))] for pair in where[lewis.bonds].tolist()]
    for name, orders in (("rdkit_order", lewis.order), ("resonance_order", lewis.resonance_order)):
        values[name][rows] = 0.0  # near enough for a bond, and none in the Lewis structure
        values[name][target] = orders
    return lewis.failure, np.full(3, np.nan) if lewis.failure else np.array(stereo.counts, dtype=float)
