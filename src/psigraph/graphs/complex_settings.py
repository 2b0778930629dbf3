"""What identifies the content of graph shards of the family `affinity`.

Imports no array library: the Snakefile asks it which files a graphset needs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from psigraph.fields import COMPLEX_ATOM_FEATURES
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.table import FEATURES

#: Features of the table that give a ligand's partial charges, by the name of the charges.
CHARGES: dict[str, tuple[str, ...]] = {"gasteiger": (), "psi4": ("mulliken_charge",)}


@dataclass(frozen=True)
class ComplexSettings:
    """A graphset of complexes: which protein atoms stand around a ligand, which contacts, which charges.

    `level_name` is how the configuration calls the level of theory and identifies nothing; `level` holds the level's
    settings or None. Raises ValueError naming the value and what is possible.
    """

    family: ClassVar[str] = "affinity"
    unit: ClassVar[str] = ""  # labels have units of their own

    protein_radius: float = 12.0  # Å
    pocket_radius: float = 6.0  # Å
    contact_cutoff: float = 4.5  # Å
    charges: str = "gasteiger"
    level: Mapping[str, Any] | None = None
    level_name: str = ""

    def __post_init__(self) -> None:
        for name in ("protein_radius", "pocket_radius", "contact_cutoff"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        check_radii(self.protein_radius, self.pocket_radius, self.contact_cutoff)
        if self.charges not in CHARGES:
            raise ValueError(f"unknown charges {self.charges!r}; known: {', '.join(CHARGES)}")
        if (self.charges == "psi4") != (self.level is not None):
            raise ValueError(f"charges {self.charges!r} with level {self.level}: charges psi4 need a level of theory")
        if self.level is not None:
            object.__setattr__(self, "level", normalise_level(self.level))

    def widths(self) -> dict[str, int]:
        """Return the widths that `psigraph.fields` leaves open, but for the number of labels."""
        return {}

    def attributes(self) -> dict[str, Any]:
        """Return what a shard says of itself, for readers without this project."""
        return {
            **{name: float(getattr(self, name)) for name in ("protein_radius", "pocket_radius", "contact_cutoff")},
            "atom_features": "; ".join(f"{name} [{unit}]: {text}" for name, unit, text in COMPLEX_ATOM_FEATURES),
            "charges": self.charges,
        }

    def needed(self, *programs: str) -> tuple[str, ...]:
        """Return the features of the table that shards of this kind are made of: of these programs, or of all."""
        return tuple(name for name in CHARGES[self.charges] if not programs or FEATURES[name].program in programs)

    @classmethod
    def from_config(cls, section: Mapping[str, Any], level_settings: Mapping[str, Any] | None) -> "ComplexSettings":
        """Return the settings of a config entry `graphsets.<name>` and its level's entry in `levels` (None: none)."""
        name = section.get("level")
        if name is not None and level_settings is None:
            raise ValueError(f"level {name!r} comes without its settings")
        given = {key: section[key] for key in _KEYS if key in section and key != "level"}
        return cls(level=None if name is None else level_settings, level_name=str(name or ""), **given)

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], level_name: str = "") -> "ComplexSettings":
        """Return the settings that `identity()` describes; further keys are left aside."""
        return cls(level_name=level_name, **{key: identity[key] for key in _KEYS})

    def identity(self) -> dict[str, Any]:
        """Return what a run must find in the shards it reads, as JSON-serialisable values."""
        return {
            "family": self.family,
            "protein_radius": float(self.protein_radius),
            "pocket_radius": float(self.pocket_radius),
            "contact_cutoff": float(self.contact_cutoff),
            "charges": self.charges,
            "level": dict(self.level) if self.level is not None else None,
        }


_KEYS = tuple(field.name for field in fields(ComplexSettings) if field.name != "level_name")


def check_radii(protein_radius: float, pocket_radius: float, contact_cutoff: float) -> None:
    """Raise ValueError where the pocket or the contacts reach beyond the protein's atoms that are kept."""
    for name, value in (("pocket_radius", pocket_radius), ("contact_cutoff", contact_cutoff)):
        if value > protein_radius:
            raise ValueError(f"{name} {value:g} Å is beyond protein_radius {protein_radius:g} Å; raise protein_radius")
