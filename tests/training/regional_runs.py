"""Small runs of the family regional: shards of molecules with made-up features, and the JSON of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.config import Level
from psigraph.graphs.blocks import Block
from psigraph.graphs.molecule_graphs import molecule_graphs
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import random_values
from psigraph.graphs.shard_writer import ShardWriter
from psigraph.structures.embedding import conformers
from psigraph.structures.model import Label, Structure, concatenate

SMILES = ("C", "O", "N", "CO", "CC", "C#N", "C=O", "CN", "CCO", "CC#N", "C1CC1", "CC=O", "NC=O", "COC", "C[C@H](N)O")
LABELS = (Label("u0", "eV", True), Label("gap", "eV", False), Label("rare", "D", False))
LEVEL = Level().identity()
FEATURES = {
    "atom_features": ["valence_electrons", "npa_charge"],
    "bond_features": ["bond_length", "mayer_index"],
    "region_features": ["size", "charge"],
    "molecule_features": ["dipole"],
}
#: Hyperparameters of small models, by architecture.
SMALL = {
    "pamnet": {"dim": 8, "layers": 1},
    "region_contrastive": {"dim": 8, "layers": 2, "heads": 2, "num_rbf": 4, "pretraining_share": 0.5},
    "wavefunction_messages": {"dim": 8, "layers": 1, "heads": 2, "num_rbf": 4, "pretraining_share": 0.5},
}


def molecules(seed: int = 0) -> list[Structure]:
    """Two conformers of each molecule; u0 and gap follow from the geometry, `rare` is missing in two of three."""
    found = [
        structure
        for smiles in SMILES
        for structure in (conformers(smiles, 2, relax="none", seed=7) * 2)[:2]  # methane has one
    ]
    rng = np.random.default_rng(seed)
    for n, structure in enumerate(found):
        structure.id, structure.source = f"m{n}", "test"
        structure.group = structure.system = SMILES[n // 2]
        structure.positions = structure.positions + rng.normal(scale=0.05, size=structure.positions.shape)
        heavy = structure.z[structure.z > 1].astype(float)
        spread = float(structure.positions.std())
        rare = spread if n % 3 == 0 else np.nan
        structure.labels = np.array([-heavy.sum() - 0.1 * len(structure.z) + spread, spread + heavy.mean(), rare])
    return found


def molecule_settings(**changes: Any) -> MoleculeSettings:
    return MoleculeSettings(**{"level": LEVEL, "level_name": "hf", **FEATURES, **changes})


def write_molecule_shards(
    folder: Path,
    settings: MoleculeSettings,
    shards: int = 2,
    seed: int = 0,
    known: bool = True,
    labels: Sequence[Label] = LABELS,
) -> list[Path]:
    """Write the molecules with random features as the shards of a graphset; without those of a level if not `known`."""
    structures = molecules(seed)
    paths = []
    for number in range(shards):
        part = concatenate(structures[number::shards], "hartree", label_specs=labels)
        values = random_values(part, settings, seed=number)
        if not known:
            levels = settings.needed("psi4", "pyscf")
            values |= {name: np.full_like(values[name], np.nan, dtype=float) for name in levels}
        graphs = molecule_graphs(part.z, part.positions, part.offsets, settings, values)
        heavy = np.array([int((structure.z > 1).sum()) for structure in structures[number::shards]])
        columns = {
            **graphs.columns,
            **{name: getattr(part, name) for name in ("ids", "group", "system", "source")},
            "charge": part.charge[:, 0],
            "n_heavy": heavy,
            "y": part.labels,
        }
        paths.append(folder / f"{number}.h5")
        most = int(part.n_atoms.max())
        with ShardWriter(
            paths[-1], settings, most_atoms=most, name="molecules", shard=number, shards=shards, labels=labels
        ) as writer:
            writer.append(Block(columns, graphs.counts, []))
            writer.finish()
    return paths


def regional_settings(architecture: str = "pamnet", **changes: Any) -> dict[str, Any]:
    """Return the JSON of one run; keywords change it: sections, `targets` and its like, keys of `training`."""
    own = {name: changes.pop(name) for name in ("targets", "objective", "target_weights") if name in changes}
    split = changes.pop("split", {"validation": 0.2, "test": 0.2})
    graphset = changes.pop("graphset", {})
    return {
        "graphset": {"family": "regional", "datasets": ["m"], "level": "hf", "shards": 2, **FEATURES, **graphset},
        "level": LEVEL if graphset.get("level", "hf") else None,
        "hyperparameters": SMALL[architecture],
        "split": split,
        "training": {"epochs": 4, "batch_size": 4, "lr": 5e-3, "log_every": 1, "execution": "torch", **changes},
        **own,
    }
