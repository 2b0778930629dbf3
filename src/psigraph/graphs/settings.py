"""What identifies the content of graph shards."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psigraph.quantum.levels import normalise_level
from psigraph.units import ENERGY_UNITS

#: The level of theory of a graphset whose features come with the raw data.
GIVEN = "given"
BASELINES = ("hf", "column", "zero")


@dataclass(frozen=True)
class GraphSettings:
    """A graphset: which features, which baseline, which cutoff.

    `level_name` is how the configuration calls the level of theory and identifies nothing; `level` holds the level's
    settings, the word "given" for features of the raw data, or None for no features.
    """

    cutoff: float = 12.0  # Å
    length_scale: float = 0.1  # internal length units per Å
    level: Mapping[str, Any] | str | None = None
    level_name: str = ""
    v0: str = "hf"
    unit: str = "kcal/mol"
    family: str = "delta"

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
        if self.v0 == "hf" and not self.computed:
            raise ValueError("v0 'hf' needs a level of theory that Psi4 computes; name one, or take 'column' or 'zero'")

    @property
    def computed(self) -> bool:
        """Whether Psi4 computes the features."""
        return isinstance(self.level, Mapping)

    @classmethod
    def from_config(cls, section: Mapping[str, Any], level_settings: Mapping[str, Any] | None) -> "GraphSettings":
        """Return the settings of a config entry `graphsets.<name>` and its level's entry in `levels` (None: none)."""
        name = section.get("level")
        level: Mapping[str, Any] | str | None = level_settings if name not in (None, GIVEN) else name
        if name not in (None, GIVEN) and level_settings is None:
            raise ValueError(f"level {name!r} comes without its settings")
        keys = ("cutoff", "length_scale", "v0", "unit", "family")
        given = {key: section[key] for key in keys if key in section}
        return cls(level=dict(level) if isinstance(level, Mapping) else level, level_name=str(name or ""), **given)

    def identity(self) -> dict[str, Any]:
        """Return what a run must find in the shards it reads, as JSON-serialisable values."""
        return {
            "family": self.family,
            "cutoff": float(self.cutoff),
            "length_scale": float(self.length_scale),
            "level": dict(self.level) if isinstance(self.level, Mapping) else self.level,
            "v0": self.v0,
            "unit": self.unit,
        }
