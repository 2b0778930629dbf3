"""Cartesian positions from the atom lines of Psi4's molecule text: Cartesian lines, z-matrix lines, variables."""

import math
from collections.abc import Mapping, Sequence

import numpy as np


def place_atoms(lines: Sequence[Sequence[str]], variables: Mapping[str, float]) -> np.ndarray:
    """Return positions (N, 3), in the text's unit, of atom lines split into words.

    A line is `symbol x y z`, or a z-matrix line of 1, 3, 5 or 7 words: `symbol [atom distance [atom angle [atom
    dihedral]]]`, atoms counted from 1, angles in degrees. Numbers may be variables, with a minus sign in front. The
    first atom is at the origin, the second on +z, the third in the xz plane. Raises ValueError naming the line.
    """
    positions = np.zeros((len(lines), 3))
    for n, words in enumerate(lines):
        try:
            positions[n] = _place(n, words[1:], positions, variables)
        except (ValueError, IndexError) as error:
            raise ValueError(f"atom {n + 1}, line {' '.join(words)!r}: {error}") from None
    return positions


def _place(n: int, words: Sequence[str], positions: np.ndarray, variables: Mapping[str, float]) -> np.ndarray:
    if len(words) == 3:
        return np.array([_value(w, variables) for w in words])
    if len(words) not in (0, 2, 4, 6) or len(words) < min(2 * n, 6):
        raise ValueError("expected symbol x y z, or a z-matrix line")
    atoms = [_earlier(w, n) for w in words[0::2]]
    if len(set(atoms)) != len(atoms):
        raise ValueError("it refers to one atom twice")
    values = [_value(w, variables) for w in words[1::2]]
    if n == 0:
        return np.zeros(3)
    if n == 1:
        return positions[atoms[0]] + [0.0, 0.0, values[0]]
    angle = math.radians(values[1])
    if n == 2:
        direction = positions[atoms[1]] - positions[atoms[0]]
        direction /= np.linalg.norm(direction)
        side = np.array([1.0, 0.0, 0.0])
        return positions[atoms[0]] + values[0] * (math.cos(angle) * direction + math.sin(angle) * side)
    return _from_dihedral(positions[atoms], values[0], angle, math.radians(values[2]))


def _from_dihedral(reference: np.ndarray, distance: float, angle: float, dihedral: float) -> np.ndarray:
    """Natural extension reference frame: the atom at `distance` from c, angle d-c-b, dihedral d-c-b-a.

    J. Parsons et al., J. Comput. Chem. 26, 1063 (2005), equations 1 to 3. `reference` (3, 3): c, b, a.
    """
    c, b, a = reference
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    length = np.linalg.norm(normal)
    if length < 1e-8:
        raise ValueError("the three atoms it refers to lie on one line")
    normal /= length
    local = np.array([-math.cos(angle), math.sin(angle) * math.cos(dihedral), math.sin(angle) * math.sin(dihedral)])
    return c + distance * (local[0] * axis + local[1] * np.cross(normal, axis) + local[2] * normal)


def _earlier(word: str, n: int) -> int:
    """0-based index of an atom placed before atom `n`."""
    index = int(word) - 1
    if not 0 <= index < n:
        raise ValueError(f"it refers to atom {word}, which is not above it")
    return index


def _value(word: str, variables: Mapping[str, float]) -> float:
    """A number, a variable, or a variable with a minus sign."""
    sign, name = (-1.0, word[1:]) if word.startswith("-") else (1.0, word)
    if name in variables:
        return sign * variables[name]
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{word!r} is neither a number nor a variable of this molecule") from None
