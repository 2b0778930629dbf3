"""Random rotation and jitter of graphs, consistent for every field; one graph is a batch of one.

The random numbers of a sample depend on the seed, the epoch and the sample's index alone: not on the batch, the order
or the number of worker processes. Rotation and jitter draw from two streams, so that neither changes with the other.

Legend of shapes: n graphs, ΣN atoms, ΣP undirected pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from psigraph.graphs.multipoles import field_representation
from psigraph.graphs.neighbours import batched_pairs, pair_distances

_ROTATION, _JITTER = 0, 1


@dataclass(frozen=True)
class Geometry:
    """What depends on where the atoms are: of n graphs, flat with offsets, in internal units."""

    positions: np.ndarray  # (ΣN, 3)
    offsets: np.ndarray  # (n+1,)
    pairs: np.ndarray  # (ΣP, 2), counted in their own graph
    pair_offsets: np.ndarray  # (n+1,)
    distances: np.ndarray  # (ΣP,)
    field_features: np.ndarray  # (n, 8)

    @property
    def graph_of_atom(self) -> np.ndarray:
        """The graph each atom belongs to (ΣN,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def pairs_in_batch(pairs: np.ndarray, pair_offsets: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return pairs (ΣP, 2) that count in the batch's atoms, of pairs that count in their own graph's."""
    return pairs.astype(np.int64) + np.repeat(offsets[:-1], np.diff(pair_offsets))[:, None]


def rotate(geometry: Geometry, matrices: np.ndarray) -> Geometry:
    """Return the geometry with graph i turned by the orthogonal matrix `matrices[i]` (n, 3, 3) about the origin.

    Positions turn as vectors and the field features as 1x1o+1x2e; pairs and distances stay.
    """
    return replace(
        geometry,
        positions=np.einsum("nab,nb->na", matrices[geometry.graph_of_atom], geometry.positions),
        field_features=np.einsum("nab,nb->na", field_representation(matrices), geometry.field_features),
    )


def displace(geometry: Geometry, noise: np.ndarray, cutoff: float) -> Geometry:
    """Return the geometry with `noise` (ΣN, 3) added to the positions, pairs and distances made anew.

    The cutoff is in internal units. The field features stay: they belong to the undisturbed molecule.
    """
    positions = geometry.positions + noise
    pairs, pair_offsets = batched_pairs(positions, geometry.offsets, cutoff)
    distances = pair_distances(positions, pairs_in_batch(pairs, pair_offsets, geometry.offsets))
    return replace(geometry, positions=positions, pairs=pairs, pair_offsets=pair_offsets, distances=distances)


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

    def apply(self, geometry: Geometry, indices: Sequence[int], epoch: int, cutoff: float) -> Geometry:
        """Return the augmented geometry of the samples `indices` (n,) in an epoch; the cutoff in internal units."""
        if self.jitter > 0:
            geometry = displace(geometry, self.noise(indices, np.diff(geometry.offsets), epoch), cutoff)
        if self.rotate:
            geometry = rotate(geometry, self.rotations(indices, epoch))
        return geometry

    def rotations(self, indices: Sequence[int], epoch: int) -> np.ndarray:
        """Return one uniformly random rotation matrix per sample (n, 3, 3)."""
        draws = [self._stream(epoch, index, _ROTATION).standard_normal(4) for index in indices]
        return rotation_matrices(np.array(draws).reshape(-1, 4))

    def noise(self, indices: Sequence[int], n_atoms: Sequence[int] | np.ndarray, epoch: int) -> np.ndarray:
        """Return Gaussian noise for all atoms of the samples (ΣN, 3), internal units."""
        draws = [
            self._stream(epoch, index, _JITTER).standard_normal((int(n), 3))
            for index, n in zip(indices, n_atoms, strict=True)
        ]
        return self.jitter * np.concatenate([np.zeros((0, 3)), *draws])

    def _stream(self, epoch: int, index: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, epoch, int(index), purpose))


def rotation_matrices(quaternions: np.ndarray) -> np.ndarray:
    """Return the rotation matrices (n, 3, 3) of quaternions (n, 4) of any length, scalar part first."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).transpose(2, 0, 1)
