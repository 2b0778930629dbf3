"""QM9's twelve labels: where they stand in the tables, their units, and energies of isolated atoms.

R. Ramakrishnan, P. O. Dral, M. Rupp, O. A. von Lilienfeld, Sci. Data 1, 140022 (2014), doi:10.1038/sdata.2014.22;
energies of atoms at the same level, B3LYP/6-31G(2df,p), from the file atomref.txt of its data.
"""

from typing import NamedTuple

import numpy as np

from psigraph.structures.model import Label
from psigraph.units import HARTREE_EV


class Column(NamedTuple):
    """A label and where it comes from."""

    label: Label
    column: str  # of the tables
    factor: float  # from the table's unit to the label's
    atoms: int | None = None  # column of ATOM_ENERGIES that is taken off, atom by atom


def _ev(name: str, column: str, *, extensive: bool = False, atoms: int | None = None) -> Column:
    """A label in eV whose column is in hartree."""
    return Column(Label(name, "eV", extensive), column, HARTREE_EV, atoms)


COLUMNS: tuple[Column, ...] = (
    Column(Label("mu", "D", False), "Dipole_debye", 1.0),
    Column(Label("alpha", "bohr³", True), "Polarizability_bohr3", 1.0),
    _ev("homo", "HOMO_au"),
    _ev("lumo", "LUMO_au"),
    _ev("gap", "HOMO_LUMO_gap_au"),
    Column(Label("r2", "bohr²", True), "R2_bohr2", 1.0),
    _ev("zpve", "ZPVE_au", extensive=True),
    _ev("u0", "InternalEnergy_0K_au", extensive=True, atoms=0),
    _ev("u", "InternalEnergy_298K_au", extensive=True, atoms=1),
    _ev("h", "Enthalphy_298K_au", extensive=True, atoms=2),
    _ev("g", "GibbsFreeEnergy_298K_au", extensive=True, atoms=3),
    Column(Label("cv", "cal/(mol K)", True), "Heatcapacity_Cv_cal_mol_K", 1.0),
)
LABELS: tuple[Label, ...] = tuple(column.label for column in COLUMNS)

#: U at 0 K, U, H and G at 298.15 K of isolated atoms [hartree], by atomic number.
ATOM_ENERGIES: dict[int, tuple[float, float, float, float]] = {
    1: (-0.500273, -0.498857, -0.497912, -0.510927),
    6: (-37.846772, -37.845355, -37.844411, -37.861317),
    7: (-54.583861, -54.582445, -54.581501, -54.598897),
    8: (-75.064579, -75.063163, -75.062219, -75.079532),
    9: (-99.718730, -99.717314, -99.716370, -99.733544),
}
_FACTORS = np.array([column.factor for column in COLUMNS])
_LEVELS = [column.atoms for column in COLUMNS]


def labels_of(z: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the labels (12,) of a molecule of atoms `z` (N,) from the numbers (12,) of its table, by `COLUMNS`.

    Energies become those of atomisation: the molecule's minus its atoms'. They are NaN where an element is none of QM9.
    """
    numbers, counts = np.unique(z, return_counts=True)
    atoms = np.array([ATOM_ENERGIES.get(int(n), (np.nan,) * 4) for n in numbers])  # (elements, 4)
    sums = counts @ atoms  # (4,)
    return (values - [0.0 if level is None else sums[level] for level in _LEVELS]) * _FACTORS
