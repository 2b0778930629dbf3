"""Floors of affinities: what the training mean, counts of contacts, the ligand alone and the protein alone predict.

All but the mean are random forests (L. Breiman, Machine Learning 45, 5, 2001, doi:10.1023/A:1010933404324) of
scikit-learn with 500 trees and its defaults; nothing is tuned, and only training complexes are seen with their labels.

- `floor:forest`: RF-Score (P. J. Ballester, J. B. O. Mitchell, Bioinformatics 26, 1169, 2010,
  doi:10.1093/bioinformatics/btq112): the numbers of pairs of one element of the protein and one of the ligand within
  12 Å, counted among the protein's atoms of the shards.
- `floor:ligand`: counts of the ligand's circular fragments (D. Rogers, M. Hahn, J. Chem. Inf. Model. 50, 742, 2010,
  doi:10.1021/ci100050t) of radius 2, folded to 256; a third of them is tried at each split, as Breiman's programs do.
- `floor:protein`: the composition of the pocket, averaged over the complexes of a target, so that nothing is left of
  the ligands; in effect the target's mean where the target was trained on.

Legend of shapes: n complexes, K columns.
"""

import logging
from collections.abc import Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from scipy.spatial.distance import cdist
from sklearn.ensemble import RandomForestRegressor

from psigraph.graphs.shards import ShardSet

log = logging.getLogger(__name__)

TREES = 500
CONTACT_RANGE = 12.0  # Å
PROTEIN_ELEMENTS = (6, 7, 8, 16)
LIGAND_ELEMENTS = (6, 7, 8, 9, 15, 16, 17, 35, 53)
FINGERPRINT = 256
FINGERPRINT_SHARE = 1 / 3


def floor_predictions(
    shards: ShardSet, used: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return what each floor predicts for the complexes `used` (n,), rows of the shards.

    y (n,) their labels, train (n,) bool which of them are trained on, at least one; `seed` is that of the forests.
    """
    if shards.settings["protein_radius"] < CONTACT_RANGE:
        log.warning(
            "floor:forest counts contacts within %g Å, the shards' protein_radius, instead of %g Å",
            shards.settings["protein_radius"],
            CONTACT_RANGE,
        )
    known = np.isfinite(y) & train
    pocket = means_by_group(pocket_counts(shards)[used], shards["group"][used])
    return {
        "floor:mean": np.full(len(y), y[known].mean()),
        "floor:forest": forest(contact_counts(shards, used), y, known, seed),
        "floor:ligand": forest(fragment_counts(shards["ligand"][used]), y, known, seed, share=FINGERPRINT_SHARE),
        "floor:protein": forest(pocket, y, known, seed),
    }


def forest(x: np.ndarray, y: np.ndarray, train: np.ndarray, seed: int, share: float = 1.0) -> np.ndarray:
    """Return predictions (n,) for x (n, K) of a forest trained on the rows `train` (n,) bool of x and y (n,)."""
    model = RandomForestRegressor(TREES, max_features=share, random_state=seed, n_jobs=1)
    return model.fit(x[train], y[train]).predict(x)


def contact_counts(shards: ShardSet, used: np.ndarray) -> np.ndarray:
    """Return for complexes `used` (n,) how many pairs of each two elements are within `CONTACT_RANGE`: (n, 36)."""
    offsets, site_offsets = shards["offsets"], shards["site_offsets"]
    z, positions = shards["z_atoms"], shards["pos_atoms"]
    site_z, site_positions = shards["site_z"], shards["site_pos"]
    ligand, site = (
        (numbers[:, None] == elements).astype(np.float32)
        for numbers, elements in ((z, LIGAND_ELEMENTS), (site_z, PROTEIN_ELEMENTS))
    )
    found = np.zeros((len(used), len(LIGAND_ELEMENTS) * len(PROTEIN_ELEMENTS)))
    for number, row in enumerate(used):
        atoms, sites = slice(*offsets[row : row + 2]), slice(*site_offsets[row : row + 2])
        near = cdist(positions[atoms], site_positions[sites]) <= CONTACT_RANGE  # (N, S)
        found[number] = (ligand[atoms].T @ near.astype(np.float32) @ site[sites]).ravel()
    return found


def fragment_counts(smiles: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return counts of the circular fragments of ligands (n, 256); zeros, and a warning, for what RDKit cannot read."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=FINGERPRINT)
    once, where = np.unique(np.asarray(smiles, dtype=str), return_inverse=True)
    counts = np.zeros((len(once), FINGERPRINT))
    for number, text in enumerate(once):
        molecule = Chem.MolFromSmiles(str(text))
        if molecule is None:
            log.warning("floor:ligand: RDKit cannot read the SMILES %r; the floor takes it as without fragments", text)
        else:
            counts[number] = generator.GetCountFingerprintAsNumPy(molecule)
    return counts[where]


def pocket_counts(shards: ShardSet) -> np.ndarray:
    """Return of every complex's pocket (n, 11): atoms by element (others last), sums of features, and residues."""
    inside = shards["in_pocket"].astype(bool)
    owner = np.repeat(np.arange(len(shards)), np.diff(shards["site_offsets"]))[inside]
    z, features, residue = (shards[name][inside] for name in ("site_z", "site_features", "site_residue"))
    elements = [z == element for element in PROTEIN_ELEMENTS]
    columns = [*elements, ~np.any(elements, axis=0), *features.T]
    sums = [np.bincount(owner, weights=column, minlength=len(shards)) for column in columns]
    residues = np.unique(np.stack([owner, residue]), axis=1)[0]
    return np.stack([*sums, np.bincount(residues, minlength=len(shards))], axis=1)


def means_by_group(x: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return x (n, K) with each row the mean over the rows of its group (n,)."""
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    return np.stack([np.bincount(group, weights=column) / sizes for column in x.T], axis=1)[group]
