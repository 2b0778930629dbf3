"""Columns of atoms, bonds, regions and molecules from values of the table's features, for many molecules at once.

`regional_table` says what the columns are. Values come by name, flat over the atoms or bonds of all molecules, or by
molecule; a name that is not there is NaN everywhere, and NaN stays NaN. Legend: n molecules, ΣN atoms, ΣB bonds, ΣR
regions; R_mean positions of regions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from psigraph.graphs.columns import ranges
from psigraph.graphs.geometry import sums
from psigraph.graphs.hops import PairTable
from psigraph.graphs.regional_table import HYBRIDISATIONS, Columns
from psigraph.graphs.regions import Regions
from psigraph.graphs.settings import LEWIS_LABELS, LEWIS_PROBE
from psigraph.quantum.table import FEATURES

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Frame:
    """The atoms, bonds and regions of a block of molecules; all numbers count in the whole block."""

    offsets: np.ndarray  # (n+1,) of atoms
    z: np.ndarray  # (ΣN,)
    positions: np.ndarray  # (ΣN, 3) Å
    bonds: np.ndarray  # (ΣB, 2) i < j, sorted
    bond_lengths: np.ndarray  # (ΣB,) Å
    bond_offsets: np.ndarray  # (n+1,)
    regions: Regions
    centres: np.ndarray  # (ΣR, 3) Å, mean of each region's core atoms
    inside: PairTable  # by region and atom
    atom_regions: tuple[np.ndarray, np.ndarray]  # the regions of each atom: flat, offsets (ΣN+1,)

    @property
    def n(self) -> int:
        return len(self.offsets) - 1

    def count(self, per: str) -> int:
        """Return how many rows a feature of the table has: of atoms, bonds, or systems and structures."""
        return {"atom": len(self.z), "bond": len(self.bonds)}.get(per, self.n)

    def owner(self, per: str) -> np.ndarray:
        """Return the molecule of each row of a feature of the table."""
        if per not in ("atom", "bond"):
            return np.arange(self.n)
        return np.repeat(np.arange(self.n), np.diff(self.offsets if per == "atom" else self.bond_offsets))


class Known:
    """The values of a block with NaN for what is missing, labels of atoms without a Lewis structure included."""

    def __init__(self, values: Values, frame: Frame) -> None:
        self._values, self.frame = values, frame

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a feature: (ΣN, *shape) of atoms, (ΣB, *shape) of bonds, (n, *shape) of molecules."""
        feature = FEATURES[name]
        if name == "bond_length":
            return self.frame.bond_lengths
        shape = (self.frame.count(feature.per), *feature.shape)
        if name not in self._values:
            return np.full(shape, np.nan)
        found = np.asarray(self._values[name], dtype=np.float64)
        if found.shape != shape:
            raise ValueError(f"feature {name} has the shape {found.shape}, expected {shape}")
        if name in LEWIS_LABELS and LEWIS_PROBE in self._values:
            lacking = np.asarray(np.isnan(self._values[LEWIS_PROBE]).any(axis=1))  # (n,)
            found = np.where(lacking[self.frame.owner("atom")], np.nan, found)
        return found


def atom_columns(chosen: Sequence[Columns], known: Known) -> np.ndarray:
    """Return the columns of atoms (ΣN, KA)."""
    return _beside([_atom(item.name, known[item.name]) for item in chosen], known.frame.count("atom"))


def bond_columns(chosen: Sequence[Columns], known: Known) -> np.ndarray:
    """Return the columns of bonds (ΣB, KB)."""
    return _beside([_bond(item.name, known) for item in chosen], known.frame.count("bond"))


def molecule_columns(chosen: Sequence[Columns], known: Known) -> np.ndarray:
    """Return the columns of molecules (n, KM)."""
    return _beside([_molecule(item.name, known[item.name]) for item in chosen], known.frame.n)


def region_columns(chosen: Sequence[Columns], known: Known) -> np.ndarray:
    """Return the columns of regions (ΣR, KR): sums over their atoms, and over the bonds that have both ends in them."""
    return _beside([_REGIONS[item.name](known) for item in chosen], int(known.frame.regions.offsets[-1]))


def _beside(columns: Sequence[np.ndarray], rows: int) -> np.ndarray:
    return np.concatenate(
        [np.zeros((rows, 0)), *(values.reshape(rows, int(np.prod(values.shape[1:]))) for values in columns)], axis=1
    )


def _atom(name: str, values: np.ndarray) -> np.ndarray:
    if name == "hybridisation":
        hot = (values[:, None] == np.arange(HYBRIDISATIONS)).astype(np.float64)
        return np.where(np.isnan(values)[:, None], np.nan, hot)
    if name == "ring_size":
        inverse = 1 / np.where(values > 0, values, np.inf)
        return np.where(np.isnan(values)[:, None], np.nan, np.stack([values > 0, inverse], axis=1))
    return np.abs(values) if name == "cip_label" else values


def _bond(name: str, known: Known) -> np.ndarray:
    if FEATURES[name].per == "atom":
        values = known[name][known.frame.bonds]  # (ΣB, 2, *shape)
    else:
        values = known[name]
    if FEATURES[name].per == "atom" or FEATURES[name].ends:
        first, second = values[:, 0], values[:, 1]
        rows = len(values)
        return np.concatenate(
            [((first + second) / 2).reshape(rows, -1), np.abs(first - second).reshape(rows, -1)], axis=1
        )
    if name == "dihedral":
        return np.stack([values[:, 0], np.abs(values[:, 1])], axis=1)
    return values


def _molecule(name: str, values: np.ndarray) -> np.ndarray:
    if name in ("dipole", "quadrupole"):
        return np.sqrt((values.reshape(len(values), -1) ** 2).sum(axis=1))
    if name == "polarizability":
        mean = np.trace(values, axis1=1, axis2=2) / 3
        rest = values - mean[:, None, None] * np.eye(3)
        return np.stack([mean, np.sqrt(1.5 * (rest * rest).sum(axis=(1, 2)))], axis=1)
    return values


def _over_atoms(values: np.ndarray, known: Known) -> np.ndarray:
    """Return sums (ΣR, ...) of values of atoms (ΣN, ...)."""
    region, atom = known.frame.regions.members.T
    return sums(values[atom], region, int(known.frame.regions.offsets[-1]))


def _over_bonds(values: np.ndarray, known: Known) -> np.ndarray:
    """Return sums (ΣR, ...) of values of bonds (ΣB, ...) over the bonds within each region."""
    bond, region = inner_bonds(known.frame)
    return sums(values[bond], region, int(known.frame.regions.offsets[-1]))


def inner_bonds(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Return bond and region, (m,) each, of every bond both ends of which are in the region."""
    flat, starts = frame.atom_regions
    first, second = frame.bonds.T
    sizes = np.diff(starts)[first]
    bond = np.repeat(np.arange(len(first)), sizes)
    region = flat[ranges(starts[first], sizes)]
    both = frame.inside[region, second[bond]]
    return bond[both], region[both]


def _chirality(known: Known) -> np.ndarray:
    label = known["cip_label"]
    return np.stack([np.abs(_over_atoms(label, known)), _over_atoms(np.abs(label), known)], axis=1)


def _torsion(known: Known) -> np.ndarray:
    total = _over_bonds(known["dihedral"], known)
    return np.stack([total[:, 0], np.abs(total[:, 1])], axis=1)


def _resonance(known: Known) -> np.ndarray:
    order = known["resonance_order"]
    return _over_bonds(np.abs(order - np.round(order)), known)


def _polarisation(known: Known) -> np.ndarray:
    frame = known.frame
    region, atom = frame.regions.members.T
    moments = known["npa_charge"][atom, None] * (frame.positions[atom] - frame.centres[region])
    total = sums(moments, region, len(frame.centres))  # (ΣR, 3)
    return np.sqrt((total * total).sum(axis=1))


_REGIONS: dict[str, Callable[[Known], np.ndarray]] = {
    "size": lambda known: _over_atoms(np.ones(len(known.frame.z)), known),
    "chirality": _chirality,
    "torsion": _torsion,
    "resonance": _resonance,
    "steric": lambda known: _over_atoms(known["buried_volume"], known),
    "charge": lambda known: _over_atoms(known["npa_charge"], known),
    "polarisation": _polarisation,
    "density": lambda known: _over_bonds(known["midpoint_density"], known),
}
