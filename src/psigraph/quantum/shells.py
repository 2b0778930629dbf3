"""Shells of free atoms by l: which a core potential replaces, which are core, which are valence; H to Rn.

The natural minimal basis of an atom is its core and valence shells: A. E. Reed, R. B. Weinstock, F. Weinhold, J. Chem.
Phys. 83, 735 (1985). Valence is what the noble gas before the element leaves out, without the d and f shells that are
full before a p block begins. Ground states: NIST Atomic Spectra Database (La, Ce, Gd and Lu have a 5d electron).
"""

from functools import cache

import numpy as np

#: l of shells in the order in which they are filled: 1s 2s 2p 3s 3p 4s 3d 4p 5s 4d 5p 6s 4f 5d 6p.
_FILLING = (0, 0, 1, 0, 1, 0, 2, 1, 0, 2, 1, 0, 3, 2, 1)
_NOBLE = (0, 2, 10, 18, 36, 54)
#: Lanthanides with a 5d electron.
_WITH_5D = (57, 58, 64, 71)
#: Electrons that a core potential replaces -> shells by l. 28: 1s to 3d, 46: to 4d, 60: to 4f without 5s and 5p, ...
_REPLACED = {
    0: (0, 0, 0, 0),
    2: (1, 0, 0, 0),
    10: (2, 1, 0, 0),
    18: (3, 2, 0, 0),
    28: (3, 2, 1, 0),
    36: (4, 3, 1, 0),
    46: (4, 3, 2, 0),
    54: (5, 4, 2, 0),
    60: (4, 3, 2, 1),
    68: (5, 4, 2, 1),
    78: (5, 4, 3, 1),
}


@cache
def atomic_shells(z: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the numbers of core shells and of valence shells by l = 0..3 of the free atom of atomic number `z`."""
    noble = max(n for n in _NOBLE if n < z)
    core = np.array(_shells_of(noble))
    filled = np.array(_shells_of(z))
    valence = filled - core
    if z in range(57, 72):
        valence[2] = int(z in _WITH_5D)
        valence[3] = int(z not in (57, 71))
        core[3] += int(z == 71)
    elif valence[1] or z >= 72:  # d and f shells are full before 6p begins, f before 5d does
        inner = np.array([0, 0, valence[2] if valence[1] else 0, valence[3]])
        core, valence = core + inner, valence - inner
    return tuple(core.tolist()), tuple(valence.tolist())


@cache
def minimal_shells(z: int, electrons_replaced: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return `atomic_shells` less what a core potential of `electrons_replaced` electrons takes out of the core.

    A potential that reaches into the valence shells leaves no core and takes the rest from the valence. Raises
    ValueError for a number of electrons that is no set of full shells.
    """
    if electrons_replaced not in _REPLACED:
        raise ValueError(
            f"core potential of element {z} replaces {electrons_replaced} electrons, which is no known set of shells; "
            f"known: {', '.join(map(str, _REPLACED))}"
        )
    core, valence = (np.array(part) for part in atomic_shells(z))
    left = core - np.array(_REPLACED[electrons_replaced])
    return tuple(np.maximum(left, 0).tolist()), tuple((valence + np.minimum(left, 0)).tolist())


def _shells_of(electrons: int) -> tuple[int, ...]:
    """Return how many shells by l hold this many electrons, filled in order."""
    counts = [0, 0, 0, 0]
    for angular_momentum in _FILLING:
        if electrons <= 0:
            break
        counts[angular_momentum] += 1
        electrons -= 2 * (2 * angular_momentum + 1)
    return tuple(counts)
