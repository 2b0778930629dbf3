"""Molecules of a given number of atoms for regional.py: acids and esters of peptides, as RDKit's ETKDG places them."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import descriptor_values, molecule_batch
from psigraph.models.regional.inputs import Target
from psigraph.structures.embedding import conformers

#: Side chains of natural amino acids in L form, by SMILES.
SIDE_CHAINS = (
    "C", "C(C)C", "CC(C)C", "CO", "CS", "CC(N)=O", "CCC(N)=O", "CC(=O)O", "Cc1ccccc1", "Cc1ccc(O)cc1", "CCSC",
    "[C@H](O)C", "Cc1c[nH]c2ccccc12", "CCCCN", "Cc1cnc[nH]1",
)  # fmt: skip
DIFFERENT = 4  # molecules of a batch; a larger one holds them over and over
MOST_CARBONS = 8  # of the alcohol; it makes up for the last few atoms
TARGETS = (Target("u0", "eV", True), Target("gap", "eV", False))


def peptide(atoms: int, rng: np.random.Generator) -> str:
    """Return the SMILES of a peptide, as an acid or ester, with so many atoms, hydrogens included (10 at least)."""
    for _ in range(10_000):
        residues = []
        while True:
            residues.append(rng.choice(("", *SIDE_CHAINS)))  # empty: glycine
            smiles = "".join(f"N[C@@H]({side})C(=O)" if side else "NCC(=O)" for side in residues) + "O"
            missing = atoms - Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms()
            if missing <= 0 or (missing % 3 == 0 and missing <= 3 * MOST_CARBONS):
                break
        if missing == 0 or (missing > 0 and missing % 3 == 0):
            return smiles + "C" * (missing // 3)
    raise ValueError(f"no peptide of {atoms} atoms was found; ask for 10 or more")


def molecules(atoms: int, count: int, seed: int = 0) -> MoleculeBatch:
    """Return `count` molecules of so many atoms with RDKit's features and random targets."""
    rng = np.random.default_rng([seed, atoms])
    found = [conformers(peptide(atoms, rng), 1, relax="none", seed=k)[0] for k in range(count)]
    settings = MoleculeSettings()
    return molecule_batch(
        found, settings, values=descriptor_values(found), y=rng.normal(size=(count, len(TARGETS))), dtype=torch.float32
    )


def write(path: Path, atoms: int, count: int) -> None:
    """Write a batch of `count` molecules; making the larger ones takes RDKit a minute."""
    data = molecules(atoms, min(count, DIFFERENT))
    found = repeated(data, max(1, round(count / DIFFERENT)))
    torch.save({field.name: getattr(found, field.name) for field in fields(found) if field.name != "names"}, path)


def read(path: Path) -> MoleculeBatch:
    """Return the batch that `write` wrote."""
    return MoleculeBatch(**torch.load(path, weights_only=True))


def repeated(data: MoleculeBatch, times: int) -> MoleculeBatch:
    """Return a batch that holds the molecules of `data` several times."""
    atoms, regions = len(data.z_atoms), len(data.region_features)
    steps: dict[str, Any] = {"bonds": atoms, "pairs": atoms, "region_pairs": regions}
    steps |= {
        "members": torch.tensor([regions, atoms]),
        "atoms_batch": data.num_graphs,
        "regions_batch": data.num_graphs,
    }
    changed: dict[str, Any] = {"global_size": times * data.num_graphs}
    for name, value in ((field.name, getattr(data, field.name)) for field in fields(data)):
        if name.endswith("_ptr"):
            changed[name] = torch.cat([value[:-1] + k * value[-1] for k in range(times)] + [times * value[-1:]])
        elif isinstance(value, torch.Tensor):
            changed[name] = torch.cat([value + k * steps[name] if name in steps else value for k in range(times)])
    return replace(data, **changed)
