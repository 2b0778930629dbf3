"""Small molecules with coordinates, and files of the stages before the graphs stage."""

from pathlib import Path

import numpy as np

from psigraph.descriptors.build import build_descriptors
from psigraph.quantum.model import Result
from psigraph.quantum.store import write_quantum
from psigraph.quantum.table import FEATURES
from psigraph.structures.embedding import conformers
from psigraph.structures.geometry import bonds
from psigraph.structures.model import Label, Structure
from psigraph.structures.store import read_structures, write_structures

LEVEL = {
    "method": "hf",
    "basis": "sto-3g",
    "scf_type": "df",
    "e_convergence": 1e-8,
    "d_convergence": 1e-8,
    "max_iterations": 100,
    "reference": "auto",
}
LABELS = (Label("u0", "eV", True), Label("gap", "eV", False))
#: A chiral amino acid, an aromatic acid, rings, a triple bond, an ion, an alkane, water, methane.
SMILES = ("C[C@H](N)C(=O)O", "OC(=O)c1ccccc1", "C1CC1C#N", "CC(=O)[O-]", "CCCC", "O", "C")


def molecule(smiles: str, id: str = "", labels=(), **changes) -> Structure:
    found = conformers(smiles, 1, seed=1)[0]
    values = {"id": id or smiles, "labels": np.array(labels, dtype=float), "group": smiles, "system": smiles}
    return Structure(
        z=found.z, positions=found.positions, fragment=found.fragment, charge=found.charge, v_ref=np.nan,
        **{**values, **changes},
    )  # fmt: skip


def random_molecule(rng: np.random.Generator, n: int, spread: float = 1.6) -> Structure:
    """Return atoms thrown into a ball: crowded, in several pieces, with hydrogens too near to each other."""
    positions = rng.normal(size=(n, 3)) * spread * n ** (1 / 3) / 1.5
    z = rng.choice([1, 1, 6, 7, 8, 17], n)
    return Structure(id=f"r{n}", z=z, positions=positions, fragment=np.zeros(n), v_ref=np.nan)


def structures_file(path: Path, structures, labels=LABELS) -> Path:
    write_structures(path, structures, unit="hartree", settings={}, label_specs=labels)
    return path


def descriptors_file(path: Path, structures: Path) -> Path:
    build_descriptors(structures, path)
    return path


def quantum_file(path: Path, structures: Path, names, failures=()) -> Path:
    """Write random features of Psi4 for all molecules of a store; rows `failures` failed."""
    rng, found = np.random.default_rng(0), read_structures(structures)
    results = []
    for row, structure in enumerate(found):
        counts = {"atom": structure.n_atoms, "bond": len(bonds(structure.z, structure.positions))}
        counts |= {"n_atoms": structure.n_atoms}
        if row in failures:
            results.append(Result("convergence", "it did not converge", n_atoms=structure.n_atoms, n_systems=1))
            continue
        values = {}
        for name in names:
            feature = FEATURES[name]
            leading = {"atom": (counts["atom"],), "bond": (counts["bond"],), "system": (1,)}.get(feature.per, ())
            values[name] = rng.normal(size=(*leading, *feature.shape))
        if "bonds" in names:
            values["bonds"] = bonds(structure.z, structure.positions)
        results.append(
            Result("ok", values=values, origin=structure.positions.mean(axis=0), n_atoms=structure.n_atoms, n_systems=1)
        )
    write_quantum(
        path, ids=found.ids, index=range(len(found)), results=results, names=names, level=LEVEL,
        structures_digest=found.digest,
    )  # fmt: skip
    return path
