"""Made-up complexes: small ligands with hydrogens in a shell of protein atoms, as the structures stage has them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from molecule_maker import molecule

from psigraph.structures.complexes import Binding, Protein
from psigraph.structures.geometry import bonds
from psigraph.structures.identity import scaffold_of
from psigraph.structures.model import Label, Structure
from psigraph.structures.store import write_structures

PK = (Label("pK", "1", False),)
LIGANDS = ("CC(=O)Nc1ccccc1", "OCC1CCNC1", "Cc1ccc(Cl)cn1", "CCOC(=O)C", "c1ccc2[nH]ccc2c1", "NC(=O)c1ccco1")


def protein(seed: int, id: str = "", atoms: int = 400, residue_atoms: int = 8) -> Protein:
    """Return atoms between 3 and 20 Å from the origin, and a zinc ion of a residue of its own."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(atoms, 3))
    positions = directions / np.linalg.norm(directions, axis=1)[:, None] * rng.uniform(5, 20, size=(atoms, 1))
    z = rng.choice([6, 6, 6, 7, 8, 16], atoms)
    z[-1] = 30
    residue = np.arange(atoms) // residue_atoms
    residue[-1] = residue[-2] + 1
    features = np.concatenate([rng.integers(0, 2, size=(atoms, 4)), rng.normal(size=(atoms, 1)) * 0.3], axis=1)
    return Protein(
        id=id or f"protein{seed}",
        z=z.astype(np.uint8),
        positions=positions,
        residue=residue.astype(np.int32),
        residue_names=np.array([f"A:GLY{n + 1}" for n in range(residue.max() + 1)], dtype=object),
        features=features.astype(np.float32),
    )


def complex_of(
    smiles: str, around: Protein, *, id: str, pk: float = 6.0, side: str = "", measure: str = "Ki"
) -> Structure:
    """Return a ligand at the origin of its protein."""
    found = molecule(
        smiles, id=id, labels=[pk], group=around.id, system=scaffold_of(smiles) or smiles, source="made up"
    )
    pairs = bonds(found.z, found.positions)
    rng = np.random.default_rng(len(smiles))
    features = np.concatenate(
        [rng.integers(0, 2, size=(found.n_atoms, 4)), rng.normal(size=(found.n_atoms, 1))], axis=1
    )
    features[found.z == 1, :4] = 0
    binding = Binding(
        protein=around,
        atom_features=features.astype(np.float32),
        bonds=np.asarray(pairs, dtype=np.int32).reshape(-1, 2),
        bond_features=np.tile(np.array([[1, 0, 0]], dtype=np.float32), (len(pairs), 1)),
        smiles=smiles,
        measure=measure,
        side=side,
    )
    positions = found.positions - found.positions[found.z > 1].mean(axis=0)
    return replace(found, positions=positions, binding=binding)


def complexes(n: int = 12, targets: int = 3, seed: int = 0) -> list[Structure]:
    """Return n complexes of so many proteins; the first protein trains, the second validates, the others test."""
    rng = np.random.default_rng(seed)
    proteins = [protein(seed + k) for k in range(targets)]
    sides = ["train", "validation", "test"]
    return [
        complex_of(
            LIGANDS[i % len(LIGANDS)],
            proteins[i % targets],
            id=f"c{i}",
            pk=float(rng.normal(7, 1)),
            side=sides[min(i % targets, 2)],
        )
        for i in range(n)
    ]


def complexes_file(path: Path, structures: list[Structure]) -> Path:
    write_structures(path, structures, unit="hartree", settings={}, label_specs=PK)
    return path
