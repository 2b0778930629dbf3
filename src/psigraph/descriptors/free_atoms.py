"""Ground states of the free neutral atoms H to Rn: electrons of the valence shells by l, and the row they stand in.

Source: A. Kramida et al., NIST Atomic Spectra Database, ground-state configurations,
https://physics.nist.gov/PhysRefData/ASD/ionEnergy.html. Valence shells are those outside the core: the noble gas
before, and d10 and f14 once a p electron (d10, f14) or a d electron (f14) stands above them. Zn, Cd, Hg, Yb keep
their last full d or f shell as valence, as the metals before them do.
"""

import numpy as np

from psigraph.structures.elements import MAX_NUMBER

#: Atomic numbers of the noble gases; 0 stands before the first row.
_NOBLE = (0, 2, 10, 18, 36, 54, 86)
#: Ground states that do not follow the order of filling: atomic number -> valence electrons in s, p, d, f.
_EXCEPTIONS = {
    24: (1, 0, 5, 0),  # Cr
    29: (1, 0, 10, 0),  # Cu
    41: (1, 0, 4, 0),  # Nb
    42: (1, 0, 5, 0),  # Mo
    44: (1, 0, 7, 0),  # Ru
    45: (1, 0, 8, 0),  # Rh
    46: (0, 0, 10, 0),  # Pd
    47: (1, 0, 10, 0),  # Ag
    57: (2, 0, 1, 0),  # La
    58: (2, 0, 1, 1),  # Ce
    64: (2, 0, 1, 7),  # Gd
    78: (1, 0, 9, 0),  # Pt
    79: (1, 0, 10, 0),  # Au
}


def _row(z: int) -> int:
    """Row of the periodic table."""
    return next(n for n, gas in enumerate(_NOBLE) if z <= gas)


def _valence(z: int) -> tuple[int, int, int, int]:
    """Valence electrons in s, p, d, f by the order of filling (ns, (n-2)f, (n-1)d, np), exceptions aside."""
    if z in _EXCEPTIONS:
        return _EXCEPTIONS[z]
    row = _row(z)
    left = z - _NOBLE[row - 1]
    s = min(left, 2)
    f = min(left - s, 14) if row >= 6 else 0
    d = min(left - s - f, 10) if row >= 4 else 0
    p = left - s - f - d
    if p:
        return (s, p, 0, 0)
    return (s, 0, d, 0) if d else (s, 0, 0, f)


#: Valence electrons of the free atom in s, p, d and f (MAX_NUMBER + 1, 4); row 0 is unused.
VALENCE = np.array([(0, 0, 0, 0), *(_valence(z) for z in range(1, MAX_NUMBER + 1))], dtype=np.uint8)
#: Principal quantum number of the valence s shell: the row of the periodic table (MAX_NUMBER + 1,).
ROW = np.array([0, *(_row(z) for z in range(1, MAX_NUMBER + 1))], dtype=np.uint8)
