"""What one SCF sees: real atoms, and ghosts that lend basis functions only.

A molecule is one system; a dimer is three: itself, A with B's functions, B with A's functions (counterpoise correction,
Boys & Bernardi, Mol. Phys. 19, 553, 1970). Shapes: N atoms of the structure, ghosts included.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from psigraph.quantum import FEATURE_VERSION
from psigraph.stores import canonical_json
from psigraph.structures.geometry import bonds
from psigraph.structures.model import FRAGMENT_A, FRAGMENT_B, Structure

#: Digits of positions [Å] that count: equal structures that were shifted or written differently share one result.
DIGITS = 10


@dataclass(frozen=True)
class System:
    """Atoms about the unweighted centroid of the whole structure; charges and multiplicities by fragment."""

    z: np.ndarray  # (N,) atomic numbers, of ghosts too
    positions: np.ndarray  # (N, 3) float64 Å, rounded to DIGITS
    fragment: np.ndarray  # (N,) 0 = A, 1 = B; a molecule has A only
    ghost: np.ndarray  # (N,) bool
    charges: tuple[int, int]  # e
    multiplicities: tuple[int, int]  # 2S + 1

    @property
    def n_atoms(self) -> int:
        return len(self.z)

    @property
    def is_dimer(self) -> bool:
        """Whether two fragments are here, ghosts included."""
        return bool((self.fragment == FRAGMENT_B).any())

    @property
    def is_whole(self) -> bool:
        return not self.ghost.any()

    @property
    def _real(self) -> list[int]:
        return [f for f in (FRAGMENT_A, FRAGMENT_B) if (~self.ghost & (self.fragment == f)).any()]

    @property
    def charge(self) -> int:
        """Charge of the real atoms [e]."""
        return sum(self.charges[f] for f in self._real)

    @property
    def multiplicity(self) -> int:
        """Multiplicity of the real atoms; two open shells are coupled to the highest spin."""
        return sum(self.multiplicities[f] - 1 for f in self._real) + 1

    @property
    def n_electrons(self) -> int:
        """Electrons of the real atoms, those that a core potential replaces included."""
        return int(self.z[~self.ghost].astype(int).sum()) - self.charge

    @property
    def bonds(self) -> np.ndarray:
        """Bonded pairs (P, 2), i < j, sorted: near enough by covalent radii, and in the same fragment."""
        pairs = bonds(self.z, self.positions)
        return pairs[self.fragment[pairs[:, 0]] == self.fragment[pairs[:, 1]]]

    def key(self, level: Mapping[str, Any]) -> str:
        """Return the SHA-256 over everything a result depends on: this system, the level, FEATURE_VERSION.

        `level` is normalised. Which features are wanted does not enter: a record says which ones it holds.
        """
        h = hashlib.sha256()
        positions = np.asarray(self.positions, dtype="<f8") + 0.0  # −0.0 becomes 0.0
        for array in (self.z.astype("<i8"), self.fragment.astype("<i8"), self.ghost.astype("<i8"), positions):
            h.update(struct.pack("<q", array.size))
            h.update(np.ascontiguousarray(array).tobytes())
        h.update(
            canonical_json(
                {
                    "charges": [int(c) for c in self.charges],
                    "multiplicities": [int(m) for m in self.multiplicities],
                    "level": dict(level),
                    "feature_version": FEATURE_VERSION,
                }
            ).encode()
        )
        return h.hexdigest()


def systems_of(structure: Structure) -> tuple[np.ndarray, list[System]]:
    """Return the origin (3,) [Å] that was taken off the positions, and the systems: one, or dimer, A and B."""
    origin = structure.positions.mean(axis=0)
    fragment = np.asarray(structure.fragment)
    charges = (int(structure.charge[0]), int(structure.charge[1]))
    multiplicities = (int(structure.multiplicity[0]), int(structure.multiplicity[1]))
    z, positions = structure.z.astype(np.int64), np.round(structure.positions - origin, DIGITS)
    ghosts = [np.zeros(len(z), dtype=bool)]
    if (fragment == FRAGMENT_B).any():
        ghosts += [fragment == FRAGMENT_B, fragment == FRAGMENT_A]
    return origin, [System(z, positions, fragment, ghost, charges, multiplicities) for ghost in ghosts]
