"""Van der Waals radii of H to Rn, index 0 unused.

A. Bondi, J. Phys. Chem. 68, 441 (1964), for the elements he gives; the other main-group elements are from M. Mantina et
al., J. Phys. Chem. A 113, 5806 (2009), table 12. Metals that neither gives count as 2.0 Å, as the Cambridge
Structural Database takes them.
"""

import numpy as np

from psigraph.structures.elements import MAX_NUMBER, NUMBERS

DEFAULT_RADIUS = 2.0  # Å
# fmt: off
_BONDI = {
    "H": 1.20, "He": 1.40, "Li": 1.82, "C": 1.70, "N": 1.55, "O": 1.52, "F": 1.47, "Ne": 1.54, "Na": 2.27, "Mg": 1.73,
    "Si": 2.10, "P": 1.80, "S": 1.80, "Cl": 1.75, "Ar": 1.88, "K": 2.75, "Ni": 1.63, "Cu": 1.40, "Zn": 1.39,
    "Ga": 1.87, "As": 1.85, "Se": 1.90, "Br": 1.85, "Kr": 2.02, "Pd": 1.63, "Ag": 1.72, "Cd": 1.58, "In": 1.93,
    "Sn": 2.17, "Te": 2.06, "I": 1.98, "Xe": 2.16, "Pt": 1.75, "Au": 1.66, "Hg": 1.55, "Tl": 1.96, "Pb": 2.02,
}
_MANTINA = {
    "Be": 1.53, "B": 1.92, "Al": 1.84, "Ca": 2.31, "Ge": 2.11, "Rb": 3.03, "Sr": 2.49, "Sb": 2.06, "Cs": 3.43,
    "Ba": 2.68, "Bi": 2.07, "Po": 1.97, "At": 2.02, "Rn": 2.20,
}
# fmt: on

VDW_RADII = np.full(MAX_NUMBER + 1, DEFAULT_RADIUS)  # Å
VDW_RADII[0] = np.nan
for _symbol, _radius in {**_BONDI, **_MANTINA}.items():
    VDW_RADII[NUMBERS[_symbol]] = _radius
