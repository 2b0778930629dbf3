"""What graphs of molecules can carry, once: which columns a name of the configuration stands for.

Names are those of `psigraph.quantum.table`, and of regions the few below. Every column keeps its value in a mirror
image. Imports no array library: the Snakefile asks which features a graphset needs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psigraph.graphs.settings import LEWIS_LABELS, LEWIS_PROBE
from psigraph.quantum.table import FEATURES, Feature

#: Programs whose features need a level of theory.
QUANTUM_PROGRAMS = ("psi4", "pyscf")
#: What columns belong to; also how the settings call them, with `_features` behind.
PER = ("atom", "bond", "region", "molecule")
#: What pairs of regions need always.
PAIR_FEATURE = "cip_label"
#: The columns of pairs of regions I < J, in their order.
PAIR_MEANINGS = {
    "hops": "fewest bonds between a core atom of I and one of J; -1: nothing connects them",
    "shared": "atoms of both",
    "bonds": "bonds with one end in I and the other in J, those within both included",
    "steric": "sum of 1 - d / (r_i + r_j), r Bondi's radii, over atoms i of I alone and j of J alone that are nearer "
    "than r_i + r_j and more than two bonds apart",
    "chirality": "product of the sums of cip_label over both regions' atoms; 0 where it is not known",
}


@dataclass(frozen=True)
class Columns:
    """Neighbouring columns of one name: how many, of which features of the table, in which unit, and what they say."""

    name: str
    width: int
    needs: tuple[str, ...]
    unit: str
    meaning: str
    default: bool = False

    @property
    def quantum(self) -> bool:
        """Whether a program computes them that needs a level of theory."""
        return any(FEATURES[name].program in QUANTUM_PROGRAMS for name in self.needs)

    def described(self) -> str:
        """Return name, number of columns, unit and meaning as text."""
        definition = FEATURES[self.name].definition if self.name in FEATURES else ""
        return f"{self.name} ({self.width}) [{self.unit}]: " + ": ".join(filter(None, (definition, self.meaning)))


_ATOM_DEFAULTS = (
    "hybridisation", "valence_electrons", "aromatic", "ring_size", "formal_charge", "cip_label", "buried_volume",
    "accessible_area", "npa_charge", "npa_valence", "density_at_nucleus",
)  # fmt: skip
_BOND_DEFAULTS = (
    "bond_length", "rdkit_order", "resonance_order", "dihedral", "mayer_index", "wiberg_nao", "bond_nbo",
    "midpoint_density", "bond_donation",
)  # fmt: skip
#: Categories: how many columns, one for each value.
HYBRIDISATIONS = 7
_SPECIAL: dict[str, tuple[int, str]] = {
    "hybridisation": (HYBRIDISATIONS, "one column for each value"),
    "ring_size": (2, "whether in a ring; 1 / size of the smallest, 0 in none"),
    "cip_label": (1, "absolute value"),
    "dihedral": (2, "cosine; absolute value of the sine"),
}
#: Features that positions alone give here, whatever program gives them elsewhere.
_GEOMETRIC = ("bond_length",)
_MOLECULES: dict[str, tuple[int, str]] = {
    "energy": (1, ""),
    "energy_components": (4, ""),
    "orbital_energies": (3, ""),
    "dipole": (1, "norm"),
    "quadrupole": (1, "Frobenius norm"),
    "electronic_extent": (1, ""),
    "polarizability": (2, "a third of the trace; anisotropy, the root of 3/2 times the sum of squares without it"),
    "mp2_correlation": (1, ""),
    "dispersion_d4": (1, ""),
}
_MOLECULE_DEFAULTS = ("energy", "orbital_energies", "dipole")


def _needs(name: str) -> tuple[str, ...]:
    return (name, LEWIS_PROBE) if name in LEWIS_LABELS else (name,)


def _of_table(feature: Feature, default: bool) -> Columns:
    """Return the columns of a feature of atoms or bonds."""
    width, meaning = _SPECIAL.get(feature.name, (math.prod(feature.shape), ""))
    if feature.ends:
        meaning = "mean of both ends, then the absolute difference"
    needs = () if feature.name in _GEOMETRIC else _needs(feature.name)
    return Columns(feature.name, width, needs, feature.unit, meaning, default)


def _of_region(name: str, width: int, needs: Sequence[str], unit: str, meaning: str) -> Columns:
    return Columns(name, width, tuple(part for need in needs for part in _needs(need)), unit, meaning, True)


_REGIONS = (
    _of_region("size", 1, (), "1", "atoms"),
    _of_region("chirality", 2, ("cip_label",), "1", "absolute value of the sum of cip_label; labelled centres"),
    _of_region("torsion", 2, ("dihedral",), "1", "sum of dihedral's cosines; absolute value of the sum of its sines"),
    _of_region("resonance", 1, ("resonance_order",), "1", "sum of |resonance_order - nearest whole number|"),
    _of_region("steric", 1, ("buried_volume",), "1", "sum of buried_volume"),
    _of_region("charge", 1, ("npa_charge",), "e", "sum of npa_charge"),
    _of_region("polarisation", 1, ("npa_charge",), "e·Å", "norm of the sum of npa_charge times r - region's position"),
    _of_region("density", 1, ("midpoint_density",), "electrons/Å³", "sum of midpoint_density"),
)
#: A feature of bonds made of one of atoms.
_SHIELDING = Columns("nmr_shielding", 2, ("nmr_shielding",), "ppm", "mean of both ends, then the absolute difference")


def _by_name(columns: Sequence[Columns]) -> Mapping[str, Columns]:
    return {item.name: item for item in columns}


#: By what they belong to, all columns that can be asked for, in the order of the defaults.
KNOWN: Mapping[str, Mapping[str, Columns]] = {
    "atom": _by_name([_of_table(f, f.name in _ATOM_DEFAULTS) for f in FEATURES.values() if f.per == "atom"]),
    "bond": _by_name(
        [
            *(
                _of_table(f, f.name in _BOND_DEFAULTS)
                for f in FEATURES.values()
                if f.per == "bond" and f.name not in ("bonds", "block_shape")
            ),
            _SHIELDING,
        ]
    ),
    "region": _by_name(_REGIONS),
    "molecule": _by_name(
        [
            Columns(name, width, (name,), FEATURES[name].unit, meaning, name in _MOLECULE_DEFAULTS)
            for name, (width, meaning) in _MOLECULES.items()
        ]
    ),
}


def check_names(per: str, names: Sequence[str]) -> None:
    """Raise ValueError for a name that no columns have, or one that stands there twice."""
    import difflib

    for name in names:
        if name not in KNOWN[per]:
            close = difflib.get_close_matches(name, KNOWN[per], n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"{per}_features: no {name!r}{hint}; docs/features.md#regional lists what there is")
    if len(set(names)) != len(names):
        raise ValueError(f"{per}_features name a feature twice: {', '.join(names)}")


def columns_of(per: str, names: Sequence[str] | None, with_level: bool) -> tuple[Columns, ...]:
    """Return the columns of these names, in their order; of None the defaults.

    Raises ValueError for an unknown or repeated name, and for one that needs a level of theory where there is none.
    """
    known = KNOWN[per]
    if names is None:
        return tuple(item for item in known.values() if item.default and (with_level or not item.quantum))
    check_names(per, names)
    for name in names:
        if known[name].quantum and not with_level:
            raise ValueError(f"{per}_features: {name} needs a level of theory; name one")
    return tuple(known[name] for name in names)


def features_of_molecules(chosen: Mapping[str, Sequence[str] | None], with_level: bool) -> tuple[str, ...]:
    """Return the table's features that graphs with these columns are made of, in its order, each once.

    `chosen` has names, or None for the defaults, by what they belong to.
    """
    needed = {*_needs(PAIR_FEATURE)}
    for per in PER:
        needed.update(need for item in columns_of(per, chosen[per], with_level) for need in item.needs)
    return tuple(name for name in FEATURES if name in needed)
