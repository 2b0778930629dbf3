"""Random rotation and jitter of whole batches, consistent for every field.

The random numbers of a sample depend on the seed, the epoch and the sample's index alone: not on the batch, the order
or the number of processes. Rotation and jitter draw from two streams, so that neither changes with the other.

Legend of shapes: B graphs, ΣN atoms, ΣP undirected pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psigraph.graphs.columns import ranges
from psigraph.graphs.draws import JITTER, ROTATION, normals, sample_keys
from psigraph.graphs.multipoles import field_representation
from psigraph.graphs.neighbours import batched_pairs


@dataclass(frozen=True)
class Geometry:
    """What turns with the molecules of a batch, internal units; augmentation changes the arrays in place."""

    positions: np.ndarray  # (ΣN, 3)
    offsets: np.ndarray  # (B+1,)
    field_features: np.ndarray  # (B, 8)


@dataclass(frozen=True)
class Augmentation:
    """Which augmentations to make; `jitter` is the standard deviation of each coordinate's noise, internal units."""

    rotate: bool = False
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.jitter) and self.jitter >= 0):
            raise ValueError(f"jitter must be finite and at least 0, got {self.jitter}")

    @property
    def active(self) -> bool:
        return self.rotate or self.jitter > 0

    def displace(
        self, geometry: Geometry, indices: np.ndarray, epoch: int, cutoff: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add noise to the positions; return the pairs (ΣP, 2), counted in their own graph, and their offsets (B+1,).

        The cutoff is in internal units. The field features stay: they belong to the undisturbed molecule.
        """
        sizes = np.diff(geometry.offsets)
        geometry.positions[...] += self.noise(indices, sizes, epoch)
        return batched_pairs(geometry.positions, geometry.offsets, cutoff)

    def turn(self, geometry: Geometry, indices: np.ndarray, epoch: int) -> None:
        """Turn every graph about the origin: positions as vectors, the field features as 1x1o+1x2e; pairs stay."""
        matrices = self.rotations(indices, epoch)
        geometry.positions[...] = _apply(np.repeat(matrices, np.diff(geometry.offsets), axis=0), geometry.positions)
        geometry.field_features[...] = _apply(field_representation(matrices), geometry.field_features)

    def rotations(self, indices: Sequence[int] | np.ndarray, epoch: int) -> np.ndarray:
        """Return one uniformly random rotation matrix per sample (B, 3, 3)."""
        keys = sample_keys(self.seed, epoch, ROTATION, np.asarray(indices))
        return rotation_matrices(normals(keys, np.zeros(len(keys), dtype=np.int64), 4))

    def noise(self, indices: Sequence[int] | np.ndarray, n_atoms: Sequence[int] | np.ndarray, epoch: int) -> np.ndarray:
        """Return Gaussian noise for all atoms of the samples (ΣN, 3), internal units."""
        sizes = np.asarray(n_atoms)
        keys = np.repeat(sample_keys(self.seed, epoch, JITTER, np.asarray(indices)), sizes)
        return self.jitter * normals(keys, ranges(np.zeros_like(sizes), sizes), 3)


def _apply(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the products (m, d) of matrices (m, d, d) and vectors (m, d), each row alike in any batch."""
    return np.einsum("nab,nb->na", matrices, vectors)


def rotation_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (n, 3, 3) of quaternions (n, 4) of any length, scalar part first."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)
