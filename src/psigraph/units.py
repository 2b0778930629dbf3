"""Unit conversions, each derived from CODATA 2018 constants.

Conversions happen once, where data enters or leaves. Energies are always stated with one of `ENERGY_UNITS`.
Uses nothing beyond the standard library: the Psi4 interpreter imports it too.
"""

# CODATA 2018, https://physics.nist.gov/cuu/Constants/
BOHR_RADIUS = 0.529177210903  # Å
HARTREE_EV = 27.211386245988  # eV
ELEMENTARY_CHARGE = 1.602176634e-19  # C, exact
AVOGADRO = 6.02214076e23  # 1/mol, exact
SPEED_OF_LIGHT = 299792458.0  # m/s, exact
THERMOCHEMICAL_CALORIE = 4.184  # J, exact
BOLTZMANN = 1.380649e-23  # J/K, exact
#: The gas constant [kcal/(mol K)].
GAS_CONSTANT = AVOGADRO * BOLTZMANN / THERMOCHEMICAL_CALORIE / 1e3

ANGSTROM_PER_NM = 10.0
#: 1 Debye in e·Å: 1e-21/c C·m by definition, over e·1e-10 m.
E_ANGSTROM_PER_DEBYE = 1e-21 / SPEED_OF_LIGHT / ELEMENTARY_CHARGE / 1e-10

#: Value of one unit in eV.
ENERGY_UNITS: dict[str, float] = {
    "eV": 1.0,
    "meV": 1e-3,
    "hartree": HARTREE_EV,
    "kcal/mol": THERMOCHEMICAL_CALORIE * 1e3 / AVOGADRO / ELEMENTARY_CHARGE,
    "kJ/mol": 1e3 / AVOGADRO / ELEMENTARY_CHARGE,
}


def energy_factor(source: str, target: str) -> float:
    """Return the factor that turns an energy in `source` into one in `target`.

    Raises ValueError naming the known units where one is unknown.
    """
    for unit in (source, target):
        if unit not in ENERGY_UNITS:
            raise ValueError(f"unknown energy unit {unit!r}; known units: {', '.join(ENERGY_UNITS)}")
    return ENERGY_UNITS[source] / ENERGY_UNITS[target]
