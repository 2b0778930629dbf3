"""Symbols, covalent radii and masses of H to Rn, index 0 unused. Uses only NumPy: the graphs stage imports it too.

Radii: B. Cordero et al., "Covalent radii revisited", Dalton Trans. 2008, 2832, doi 10.1039/b801115j (sp3 carbon, low
spin Mn, Fe, Co). Masses: standard atomic weights to three decimals (of the longest-lived isotope where an element has
none). Both equal RDKit's periodic table, which a test compares.
"""

import numpy as np

SYMBOLS: tuple[str, ...] = tuple(
    """
    X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb
    Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg
    Tl Pb Bi Po At Rn
    """.split()  # noqa: SIM905
)
NUMBERS: dict[str, int] = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
MAX_NUMBER = len(SYMBOLS) - 1

# fmt: off
COVALENT_RADII = np.array([  # Å
    np.nan, 0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02, 1.06,
    2.03, 1.76, 1.70, 1.60, 1.52, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.20, 1.19, 1.20, 1.20, 1.16, 2.20,
    1.95, 1.90, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39, 1.40, 2.44, 2.15,
    2.07, 2.04, 2.03, 2.01, 1.99, 1.98, 1.98, 1.96, 1.94, 1.92, 1.92, 1.89, 1.90, 1.87, 1.87, 1.75, 1.70, 1.62, 1.51,
    1.44, 1.41, 1.36, 1.36, 1.32, 1.45, 1.46, 1.48, 1.40, 1.50, 1.50,
])
MASSES = np.array([  # u
    np.nan, 1.008, 4.003, 6.941, 9.012, 10.812, 12.011, 14.007, 15.999, 18.998, 20.180, 22.990, 24.305, 26.982, 28.086,
    30.974, 32.067, 35.453, 39.948, 39.098, 40.078, 44.956, 47.867, 50.944, 51.996, 54.938, 55.845, 58.933, 58.693,
    63.546, 65.390, 69.723, 72.610, 74.922, 78.960, 79.904, 83.800, 85.468, 87.620, 88.906, 91.224, 92.906, 95.940,
    98.0, 101.070, 102.906, 106.420, 107.868, 112.412, 114.818, 118.711, 121.760, 127.600, 126.904, 131.290, 132.905,
    137.328,
    138.906, 140.116, 140.908, 144.240, 145.0, 150.360, 151.964, 157.250, 158.925, 162.500, 164.930, 167.260, 168.934,
    173.040, 174.967, 178.490, 180.948, 183.840, 186.207, 190.230, 192.217, 195.078, 196.967, 200.590, 204.383, 207.200,
    208.980, 209.0, 210.0, 222.0,
])
# fmt: on


def symbol_of(number: int) -> str:
    """Return the symbol of an atomic number. Raises ValueError outside 1..86."""
    if not 1 <= number <= MAX_NUMBER:
        raise ValueError(f"atomic number {number} is unknown; known are 1 (H) to {MAX_NUMBER} (Rn)")
    return SYMBOLS[number]


def number_of(symbol: str) -> int:
    """Return the atomic number of a symbol in any case, or of a number as text. Raises ValueError if unknown."""
    text = symbol.strip()
    if text.isdigit() and 1 <= int(text) <= MAX_NUMBER:
        return int(text)
    try:
        return NUMBERS[text.capitalize()]
    except KeyError:
        raise ValueError(f"unknown element {symbol!r}; known are the symbols H to Rn") from None


def formula(numbers: np.ndarray) -> str:
    """Return the sum formula in Hill order: C, H, then alphabetical; alphabetical where there is no carbon."""
    symbols, counts = np.unique([SYMBOLS[int(n)] for n in numbers], return_counts=True)
    has_carbon = "C" in symbols
    order = sorted(zip(symbols, counts, strict=True), key=lambda p: (not (has_carbon and p[0] in "CH"), p[0]))
    return "".join(f"{s}{c if c > 1 else ''}" for s, c in order)
