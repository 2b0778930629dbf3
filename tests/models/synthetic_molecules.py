"""Small molecules with RDKit's features, random features in place of Psi4's, and targets made from their geometry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

from psigraph.graphs.molecule_batch import MoleculeBatch
from psigraph.graphs.molecule_settings import MoleculeSettings
from psigraph.graphs.molecules import descriptor_values, molecule_batch, random_values
from psigraph.models.regional.inputs import Target
from psigraph.quantum.table import FEATURES
from psigraph.structures.geometry import bonds as bonds_of
from psigraph.structures.model import Structure

LEVEL = {
    "method": "hf", "basis": "sto-3g", "scf_type": "df", "e_convergence": 1e-8, "d_convergence": 1e-8,
    "max_iterations": 50,
}  # fmt: skip
SETTINGS = MoleculeSettings(cutoff=4.0, region_cutoff=4.5, level=LEVEL, level_name="test")
#: Chiral, cyclic, linear, with several elements; small, for every model is trained on them.
SMILES = ("C[C@H](F)O", "OC1CC1", "NC=O", "C[C@@H](N)C=O", "CC#N", "CSC")
TARGETS = (Target("size", "eV", True), Target("dipole", "D", False), Target("energy", "eV", True))


@dataclass(frozen=True)
class Sample:
    """A molecule and its features by their names in the table: rows of atoms, of bonds, or one."""

    structure: Structure
    values: dict[str, np.ndarray]


def sample(z: Sequence[int], positions: np.ndarray, seed: int = 0, settings: MoleculeSettings = SETTINGS) -> Sample:
    """Return a molecule with RDKit's features; those that Psi4 would compute are random."""
    found = Structure(
        id=f"molecule-{seed}", z=np.array(z), positions=positions, fragment=np.zeros(len(z)), v_ref=np.nan
    )
    return Sample(found, random_values([found], settings, seed) | descriptor_values([found]))


@cache
def molecules(seed: int = 0, smiles: Sequence[str] = SMILES) -> list[Sample]:
    """Return a conformer of each molecule."""
    return [_embedded(text, 100 * seed + number) for number, text in enumerate(smiles)]


def _embedded(smiles: str, seed: int) -> Sample:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(molecule, randomSeed=seed) == 0, smiles
    return sample([a.GetAtomicNum() for a in molecule.GetAtoms()], molecule.GetConformer().GetPositions(), seed)


def water_dimer(distance: float = 3.0) -> Sample:
    """Return two water molecules, between which there is no bond, their oxygen atoms `distance` [Å] apart.

    The hydrogen atoms are in between.
    """
    water = np.array([[0, 0, 0], [0.76, 0.0, 0.59], [-0.76, 0.0, 0.59]])
    other = np.array([[0, 0, 0], [0.0, 0.79, -0.56], [0.0, -0.75, -0.60]])
    return sample([8, 1, 1, 8, 1, 1], np.concatenate([water, other + [0.1, 0.0, distance]]), seed=3)


def smallest() -> list[Sample]:
    """Return an atom, a molecule of two atoms, and two molecules without a bond between them."""
    atom, two = np.zeros((1, 3)), np.array([[0, 0, 0], [0, 0, 0.92]])
    return [sample([10], atom, seed=1), sample([9, 1], two, seed=2), water_dimer()]


def moved(found: Sample, matrix: np.ndarray, shift: Sequence[float] = (0, 0, 0)) -> Sample:
    """Return a molecule turned by a rotation matrix and shifted [Å]; its features do not turn."""
    positions = found.structure.positions @ matrix.T + np.array(shift)
    return replace(found, structure=replace(found.structure, positions=positions))


def mirrored(found: Sample) -> Sample:
    """Return the mirror image with RDKit's features computed again: CIP labels and signs of dihedrals change."""
    structure = replace(found.structure, positions=-found.structure.positions)
    return Sample(structure, found.values | descriptor_values([structure]))


def permuted(found: Sample, order: np.ndarray) -> Sample:
    """Return the same molecule with its atoms in another order."""
    old = found.structure
    structure = replace(
        old,
        z=old.z[order],
        positions=old.positions[order],
        fragment=old.fragment[order],
        given_mulliken_spd=old.given_mulliken_spd[order],
    )
    place = {tuple(bond): row for row, bond in enumerate(bonds_of(old.z, old.positions).tolist())}
    rows = [place[tuple(sorted(order[bond].tolist()))] for bond in bonds_of(structure.z, structure.positions)]
    per = {"atom": order, "bond": np.array(rows, dtype=np.int64)}
    values = {name: array[per[FEATURES[name].per]] if FEATURES[name].per in per else array
              for name, array in found.values.items()}  # fmt: skip
    return Sample(structure, values)


def batch(
    samples: Sequence[Sample],
    dtype: torch.dtype = torch.float64,
    y: np.ndarray | None = None,
    settings: MoleculeSettings = SETTINGS,
) -> MoleculeBatch:
    """Return samples as a batch with the targets y (n, T), those of `targets_of` by default."""
    values = {name: np.concatenate([found.values[name] for found in samples]) for name in samples[0].values}
    labels = targets_of(samples) if y is None else y
    return molecule_batch([s.structure for s in samples], settings, values=values, y=labels, dtype=dtype)


def targets_of(samples: Sequence[Sample]) -> np.ndarray:
    """Return the values (n, 3) of `TARGETS`: a number by atoms, one by geometry, and a sum over pairs."""
    return np.array([_targets(found.structure) for found in samples])


def _targets(found: Structure) -> list[float]:
    z = found.z.astype(float)
    distance = np.linalg.norm(found.positions[:, None] - found.positions, axis=2)
    i, j = np.triu_indices(len(z), 1)
    centre = (found.positions * z[:, None]).sum(0) / z.sum() - found.positions.mean(0)
    pairs = float((np.sqrt(z[i] * z[j]) * np.exp(-distance[i, j] / 1.5)).sum())
    return [float(z.sum()) + 0.1 * pairs, float(np.linalg.norm(centre)), -3.0 * pairs]
