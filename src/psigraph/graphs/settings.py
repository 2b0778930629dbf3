"""What identifies the content of graph shards.

Imports no array library: the Snakefile asks it which files a graphset needs.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from psigraph.quantum.levels import normalise_level
from psigraph.quantum.table import FEATURES
from psigraph.units import ENERGY_UNITS

#: The level of theory of a graphset whose features come with the raw data.
GIVEN = "given"
#: Features of the table whose sum is V_0, by the baseline's name. Of `sapt0` its total is taken, the last component.
BASELINES: dict[str, tuple[str, ...]] = {
    "hf": ("interaction_energy",),
    "hf-d4": ("interaction_energy", "dispersion_d4"),
    "mp2": ("interaction_energy_mp2",),
    "sapt0": ("sapt0",),
    "column": (),
    "zero": (),
}
MULTIPOLES = ("dipole", "quadrupole")
PARTICIPATION = ("participation_ratio",)
#: The atom features that raw data can give.
POPULATIONS = "mulliken_spd"
#: Labels of atoms that are 0 where there is no Lewis structure, and the feature that is then NaN.
LEWIS_LABELS = ("hybridisation", "aromatic", "cip_label")
LEWIS_PROBE = "stereocentres"


class ShardSettings(Protocol):
    """What the settings of graphs of any family can say."""

    @property
    def family(self) -> str: ...
    @property
    def level(self) -> Mapping[str, Any] | str | None: ...
    @property
    def level_name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    def needed(self, *programs: str) -> tuple[str, ...]: ...
    def identity(self) -> dict[str, Any]: ...
    def widths(self) -> dict[str, int]: ...
    def attributes(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class GraphSettings:
    """A graphset of dimers: which features, which baseline, which cutoff.

    `level_name` is how the configuration calls the level of theory and identifies nothing; `level` holds the level's
    settings, the word "given" for features of the raw data, or None for no features. `atom_features` are names of the
    table (`psigraph.quantum.table`), the columns of `atomic_node_attr` in this order; without a level of theory those
    that Psi4 gives are 0. `multipoles` and `participation` say whether the field node's features and PR are filled in.

    Raises ValueError naming the value and what is possible.
    """

    cutoff: float = 12.0  # Å
    length_scale: float = 0.1  # internal length units per Å
    level: Mapping[str, Any] | str | None = None
    level_name: str = ""
    v0: str = "hf"
    unit: str = "kcal/mol"
    family: str = "delta"
    atom_features: Sequence[str] = (POPULATIONS,)
    multipoles: bool = True
    participation: bool = True

    def __post_init__(self) -> None:
        for name, value in (("cutoff", self.cutoff), ("length_scale", self.length_scale)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        if self.v0 not in BASELINES:
            raise ValueError(f"unknown v0 {self.v0!r}; known: {', '.join(BASELINES)}")
        if self.unit not in ENERGY_UNITS:
            raise ValueError(f"unknown unit {self.unit!r}; known units: {', '.join(ENERGY_UNITS)}")
        if isinstance(self.level, str) and self.level != GIVEN:
            raise ValueError(f"level {self.level!r} comes without its settings; give them, or 'given' or none")
        if isinstance(self.level, Mapping):
            object.__setattr__(self, "level", normalise_level(self.level))
        if "psi4" in {FEATURES[name].program for name in BASELINES[self.v0]} and not self.computed:
            raise ValueError(
                f"v0 {self.v0!r} needs a level of theory that Psi4 computes; name one, or take 'column' or 'zero'"
            )
        object.__setattr__(self, "atom_features", tuple(self.atom_features))
        self._check_atom_features()

    def _check_atom_features(self) -> None:
        atomic = [name for name, feature in FEATURES.items() if feature.per == "atom"]
        for name in self.atom_features:
            if name not in atomic:
                close = difflib.get_close_matches(name, atomic, n=1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise ValueError(f"atom_features: {name!r} is no feature of atoms{hint}; docs/features.md lists them")
            if self.atom_features.count(name) > 1:
                raise ValueError(f"atom_features: {name!r} stands there more than once")
            if self.level == GIVEN and name != POPULATIONS:
                raise ValueError(f"atom_features: the raw data give {POPULATIONS} alone (level: given), not {name}")
            if self.level is None and name != POPULATIONS and FEATURES[name].program in ("psi4", "pyscf"):
                raise ValueError(f"atom_features: {name} needs a level of theory; name one")

    @property
    def computed(self) -> bool:
        """Whether Psi4 computes the features."""
        return isinstance(self.level, Mapping)

    @property
    def atom_width(self) -> int:
        """Columns of `atomic_node_attr`."""
        return sum(width for _, width in atom_columns(self.atom_features))

    def widths(self) -> dict[str, int]:
        """Return the widths that `psigraph.fields` leaves open."""
        return {"K": self.atom_width}

    def attributes(self) -> dict[str, Any]:
        """Return what a shard says of itself, for readers without this project."""
        return {
            "cutoff": float(self.cutoff),
            "length_scale": float(self.length_scale),
            "unit": self.unit,
            "atom_features": described(self.atom_features),
        }

    def needed(self, *programs: str) -> tuple[str, ...]:
        """Return the features that a graph of this kind is made of, in the table's order, each once.

        Those of the given programs (`psi4`, `rdkit`, `dftd4`, `pyscf`), or of all; Psi4 gives none without a level.
        """
        return tuple(
            name
            for name in features_of_graphs(self.atom_features, self.v0, self.multipoles, self.participation)
            if (not programs or FEATURES[name].program in programs)
            and (self.computed or FEATURES[name].program not in ("psi4", "pyscf"))
        )

    @classmethod
    def from_config(cls, section: Mapping[str, Any], level_settings: Mapping[str, Any] | None) -> "GraphSettings":
        """Return the settings of a config entry `graphsets.<name>` and its level's entry in `levels` (None: none)."""
        name = section.get("level")
        level: Mapping[str, Any] | str | None = level_settings if name not in (None, GIVEN) else name
        if name not in (None, GIVEN) and level_settings is None:
            raise ValueError(f"level {name!r} comes without its settings")
        given = {key: section[key] for key in IDENTITY if key in section and key != "level"}
        return cls(level=dict(level) if isinstance(level, Mapping) else level, level_name=str(name or ""), **given)

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], level_name: str = "") -> "GraphSettings":
        """Return the settings that `identity()` describes; further keys are left aside."""
        values = {key: identity[key] for key in IDENTITY}
        values["atom_features"] = [name for name, _ in identity["atom_features"]]
        return cls(level_name=level_name, **values)

    def identity(self) -> dict[str, Any]:
        """Return what a run must find in the shards it reads, as JSON-serialisable values."""
        return {
            "family": self.family,
            "cutoff": float(self.cutoff),
            "length_scale": float(self.length_scale),
            "level": dict(self.level) if isinstance(self.level, Mapping) else self.level,
            "v0": self.v0,
            "unit": self.unit,
            "atom_features": atom_columns(self.atom_features),
            "multipoles": bool(self.multipoles),
            "participation": bool(self.participation),
        }


#: Keys of `GraphSettings.identity()`.
IDENTITY = tuple(field.name for field in fields(GraphSettings) if field.name != "level_name")


def settings_of(
    values: Mapping[str, Any], level_settings: Mapping[str, Any] | None = None, level_name: str = ""
) -> ShardSettings:
    """Return the settings of graphs of any family.

    `values` is a graphset's entry in the configuration, then `level_settings` is its level's entry in `levels`; or what
    `identity()` gave, as shards and checkpoints keep it, with `level_name`. Raises ValueError for an unknown family.
    """
    from psigraph.graphs.complex_settings import ComplexSettings
    from psigraph.graphs.molecule_settings import MoleculeSettings  # imports this module

    families: dict[str, Any] = {"delta": GraphSettings, "regional": MoleculeSettings, "affinity": ComplexSettings}
    family = values.get("family", "delta")
    if family not in families:
        raise ValueError(f"unknown family {family!r}; known: {', '.join(families)}")
    kind = families[family]
    if "datasets" in values or level_settings is not None:
        found: ShardSettings = kind.from_config(values, level_settings)
    else:
        found = kind.from_identity(values, level_name=level_name)
    return found


def described(names: Sequence[str]) -> str:
    """Return what the columns of features of the table are."""
    found = (FEATURES[name] for name in names)
    return "; ".join(f"{f.name} {tuple(f.shape)} [{f.unit}]: {f.definition}" for f in found)


def features_of_graphs(atom_features: Sequence[str], v0: str, multipoles: bool, participation: bool) -> tuple[str, ...]:
    """Return the features that graphs with these settings are made of, in the table's order, each once."""
    names = {*atom_features, *BASELINES[v0]}
    names |= {*(MULTIPOLES if multipoles else ()), *(PARTICIPATION if participation else ())}
    names |= {LEWIS_PROBE} if names & set(LEWIS_LABELS) else set()
    return tuple(name for name in FEATURES if name in names)


def atom_columns(names: Sequence[str]) -> list[list[Any]]:
    """Return [name, number of columns] for each feature of atoms."""
    return [[name, math.prod(FEATURES[name].shape)] for name in names]


def atom_width(identity: Mapping[str, Any]) -> int:
    """Return how many columns `atomic_node_attr` has in shards with these settings (`GraphSettings.identity()`)."""
    return sum(int(width) for _, width in identity["atom_features"])
