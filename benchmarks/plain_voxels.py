"""Densities of complexes on a grid, atom by atom in NumPy: what voxels.py and the tests compare the Voxelizer with."""

import numpy as np

from psigraph.graphs.complex_batch import ComplexBatch

#: Atomic numbers by column; all others have the last one.
COLUMNS = {6: 0, 7: 1, 8: 2, 16: 3, 15: 4, 9: 5, 17: 5, 35: 5, 53: 5, 85: 5}
OTHER = 6
FEATURES = 5


def plain_voxels(batch: ComplexBatch, grid_points: int, spacing: float, width: float) -> np.ndarray:
    """Return the densities (B, 3, 12, G, G, G) of a batch, in its type: protein, pocket, ligand."""
    return np.stack([_complex(batch, k, grid_points, spacing, width) for k in range(batch.num_graphs)])


def _complex(batch: ComplexBatch, k: int, grid_points: int, spacing: float, width: float) -> np.ndarray:
    atoms = slice(int(batch.atoms_ptr[k]), int(batch.atoms_ptr[k + 1]))
    sites = slice(int(batch.sites_ptr[k]), int(batch.sites_ptr[k + 1]))
    ligand = (batch.z_atoms[atoms].numpy(), batch.pos_atoms[atoms].numpy(), batch.atom_features[atoms].numpy())
    protein = (batch.site_z[sites].numpy(), batch.site_pos[sites].numpy(), batch.site_features[sites].numpy())
    inside = batch.in_pocket[sites].numpy()
    pocket = tuple(values[inside] for values in protein)
    along = (np.arange(grid_points) - (grid_points - 1) / 2) * spacing
    points = np.stack(np.meshgrid(along, along, along, indexing="ij"), 3) + ligand[1].mean(0)  # (G, G, G, 3) Å
    points = points.astype(ligand[1].dtype)
    return np.stack([_density(points, *component, width) for component in (protein, pocket, ligand)])


def _density(
    points: np.ndarray, z: np.ndarray, positions: np.ndarray, features: np.ndarray, width: float
) -> np.ndarray:
    """Return the densities (12, G, G, G) of atoms; each ends at 5 widths along every axis."""
    out = np.zeros((OTHER + 1 + FEATURES, *points.shape[:3]), dtype=points.dtype)
    for number, position, values in zip(z.tolist(), positions, features, strict=True):
        distance = points - position
        density = np.exp(-(distance**2).sum(3) / (2 * width**2)) * (np.abs(distance) <= 5 * width).all(3)
        out[COLUMNS.get(number, OTHER)] += density
        for column, value in enumerate(values):
            out[OTHER + 1 + column] += value * density
    return out
