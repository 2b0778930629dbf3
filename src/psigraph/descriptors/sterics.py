"""How crowded an atom is: buried volume and accessible area, exact for spheres (`spheres.py`).

All atoms count, hydrogens and, in a dimer, those of the other monomer included. The buried volume is that of A. Poater
et al., Eur. J. Inorg. Chem. 2009, 1759 (sphere of 3.5 Å, Bondi's radii times 1.17); their program leaves hydrogens out,
which would leave nothing around the atoms of small molecules. The accessible area is that of B. Lee, F. M. Richards, J.
Mol. Biol. 55, 379 (1971), with Bondi's radii and a probe of 1.4 Å.
"""

import numpy as np

from psigraph.descriptors.radii import VDW_RADII
from psigraph.descriptors.spheres import caps_of, exposed

SPHERE = 3.5  # Å, within which volume is buried
SCALE = 1.17  # of the radii, for the buried volume
PROBE = 1.4  # Å
#: Circles times caps that are worked on at once, a bound on memory.
_AT_ONCE = 400_000


def accessible_area(z: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the area (N,) [Å²] of each atom's sphere, widened by the probe, that lies in no other such sphere.

    `positions` (N, 3) [Å].
    """
    radii = VDW_RADII[z] + PROBE
    area, _ = _exposed(*caps_of(positions, radii))
    return area * radii**2


def buried_volume(z: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the share (N,) of the sphere about each atom that the other atoms' spheres fill.

    `positions` (N, 3) [Å].
    """
    radii = VDW_RADII[z] * SCALE
    axes, cosines = caps_of(positions, radii)
    shares = np.zeros(len(z))
    for centre in range(len(z)):
        vectors = positions - positions[centre]
        distance = np.linalg.norm(vectors, axis=1)
        near = (distance < SPHERE + radii) & (np.arange(len(z)) != centre)
        if near.any():
            these = np.ix_(near, near)
            volume = _filled(vectors[near], distance[near], radii[near], axes[these], cosines[these])
            shares[centre] = volume / (4 / 3 * np.pi * SPHERE**3)
    return shares


def _filled(
    vectors: np.ndarray, distance: np.ndarray, radii: np.ndarray, axes: np.ndarray, cosines: np.ndarray
) -> float:
    """Volume [Å³] of the m balls at `vectors` (m, 3) that lies within SPHERE of the origin, overlap counted once.

    By the divergence theorem a third of the integral of r.n over the surface: what each ball shows inside the sphere,
    and what the balls cover of the sphere. `axes` (m, m, 3), `cosines` (m, m): what the balls cover of each other.
    """
    directions = vectors / distance[:, None]
    outside = (SPHERE**2 - distance**2 - radii**2) / (2 * distance * radii)  # the part beyond SPHERE is a cap, too
    inside = (SPHERE**2 + distance**2 - radii**2) / (2 * distance * SPHERE)
    # rows: the balls and, last, the sphere; columns: what the balls cover, and the part of a ball beyond the sphere
    axes = np.concatenate([axes, directions[None]])
    axes = np.concatenate([axes, np.concatenate([directions, [[0.0, 0.0, 1.0]]])[:, None]], axis=1)
    cosines = np.block([[cosines, _cap(outside)[:, None]], [_cap(inside)[None], np.array([[2.0]])]])
    area, vector = _exposed(axes, cosines)
    balls = radii**2 * (np.einsum("mx,mx->m", vectors, vector[:-1]) + radii * area[:-1])
    return float(balls.sum() + SPHERE**3 * (4 * np.pi - area[-1])) / 3


def _cap(cosines: np.ndarray) -> np.ndarray:
    return np.where(cosines >= 1, 2.0, np.where(cosines <= -1, -2.0, cosines))


def _exposed(axes: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`exposed` without the caps that are nothing, and some spheres at a time."""
    touching = cosines <= 1
    width = max(1, int(touching.sum(axis=1).max(initial=0)))
    order = np.argsort(~touching, axis=1, kind="stable")[:, :width]
    axes, cosines = np.take_along_axis(axes, order[..., None], 1), np.take_along_axis(cosines, order, 1)
    step = max(1, _AT_ONCE // width**2)
    parts = [exposed(axes[i : i + step], cosines[i : i + step]) for i in range(0, len(axes), step)]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
