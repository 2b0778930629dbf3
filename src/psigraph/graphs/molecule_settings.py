"""What identifies the content of graph shards of the family `regional`.

Imports no array library: the Snakefile asks it which files a graphset needs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from psigraph.graphs.regional_table import PER, Columns, columns_of, features_of_molecules
from psigraph.quantum.levels import normalise_level
from psigraph.quantum.table import FEATURES

if TYPE_CHECKING:
    from psigraph.models.regional.inputs import MoleculeInputs, Target

REGIONS = ("bonded", "k_hop", "patches")


@dataclass(frozen=True)
class MoleculeSettings:
    """A graphset of molecules: which features, which regions, which cutoffs.

    `hops` and `patch_atoms` are set to their defaults where they have no say. `level_name` is how the configuration
    calls the level of theory and identifies nothing; `level` holds the level's settings or None. The features are names
    of `regional_table`; None stands for its defaults, which are filled in.

    Raises ValueError naming the value and what is possible.
    """

    family: ClassVar[str] = "regional"
    unit: ClassVar[str] = ""  # labels have units of their own

    cutoff: float = 5.0  # Å, of pairs of atoms
    region_cutoff: float = 15.0  # Å, of pairs of regions
    regions: str = "bonded"
    hops: int = 2  # of k_hop, bonds
    patch_atoms: int = 6  # of patches
    level: Mapping[str, Any] | None = None
    level_name: str = ""
    atom_features: Sequence[str] | None = None
    bond_features: Sequence[str] | None = None
    region_features: Sequence[str] | None = None
    molecule_features: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("cutoff", "region_cutoff"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        if self.regions not in REGIONS:
            raise ValueError(f"unknown regions {self.regions!r}; known: {', '.join(REGIONS)}")
        for name in ("hops", "patch_atoms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name, kind in (("hops", "k_hop"), ("patch_atoms", "patches")):
            if self.regions != kind:
                object.__setattr__(self, name, getattr(MoleculeSettings, name))
        if isinstance(self.level, str):
            raise ValueError(f"level {self.level!r} comes without its settings; molecules take a level's or none")
        if self.level is not None:
            object.__setattr__(self, "level", normalise_level(self.level))
        for per in PER:
            names = tuple(item.name for item in columns_of(per, getattr(self, f"{per}_features"), self.computed))
            object.__setattr__(self, f"{per}_features", names)

    @property
    def computed(self) -> bool:
        """Whether Psi4 computes features."""
        return self.level is not None

    def columns(self, per: str) -> tuple[Columns, ...]:
        """Return the columns of atoms, bonds, regions or molecules (`atom`, `bond`, `region`, `molecule`)."""
        return columns_of(per, getattr(self, f"{per}_features"), self.computed)

    def width(self, per: str) -> int:
        """Return the number of columns of atoms, bonds, regions or molecules."""
        return sum(item.width for item in self.columns(per))

    def widths(self) -> dict[str, int]:
        """Return the widths that `psigraph.fields` leaves open, but for the number of labels."""
        return {"K" + per[0].upper(): self.width(per) for per in PER}

    def attributes(self) -> dict[str, Any]:
        """Return what a shard says of itself, for readers without this project."""
        return {
            "cutoff": float(self.cutoff),
            "region_cutoff": float(self.region_cutoff),
            **{f"{per}_features": "; ".join(item.described() for item in self.columns(per)) for per in PER},
        }

    def needed(self, *programs: str) -> tuple[str, ...]:
        """Return the features of the table that graphs of this kind are made of, in its order, each once.

        Those of the given programs (`psi4`, `rdkit`, `dftd4`, `pyscf`), or of all.
        """
        names = features_of_molecules({per: getattr(self, f"{per}_features") for per in PER}, self.computed)
        return tuple(name for name in names if not programs or FEATURES[name].program in programs)

    def inputs(self, targets: Sequence["Target"]) -> "MoleculeInputs":
        """Return what a model of these graphs is built from."""
        return inputs_of(self.identity(), targets)

    @classmethod
    def from_config(cls, section: Mapping[str, Any], level_settings: Mapping[str, Any] | None) -> "MoleculeSettings":
        """Return the settings of a config entry `graphsets.<name>` and its level's entry in `levels` (None: none)."""
        name = section.get("level")
        if name is not None and level_settings is None:
            raise ValueError(f"level {name!r} comes without its settings")
        given = {key: section[key] for key in _KEYS if key in section and key != "level"}
        return cls(level=None if name is None else level_settings, level_name=str(name or ""), **given)

    @classmethod
    def from_identity(cls, identity: Mapping[str, Any], level_name: str = "") -> "MoleculeSettings":
        """Return the settings that `identity()` describes; further keys are left aside."""
        values = {key: identity[key] for key in _KEYS}
        for per in PER:
            values[f"{per}_features"] = [name for name, *_ in identity[f"{per}_features"]]
        return cls(level_name=level_name, **values)

    def identity(self) -> dict[str, Any]:
        """Return what a run must find in the shards it reads, as JSON-serialisable values.

        Features stand as [name, number of columns, whether a level of theory gives them].
        """
        return {
            "family": self.family,
            "cutoff": float(self.cutoff),
            "region_cutoff": float(self.region_cutoff),
            "regions": self.regions,
            "hops": int(self.hops),
            "patch_atoms": int(self.patch_atoms),
            "level": dict(self.level) if self.level is not None else None,
            **{f"{per}_features": [[item.name, item.width, item.quantum] for item in self.columns(per)] for per in PER},
        }


_KEYS = tuple(field.name for field in fields(MoleculeSettings) if field.name != "level_name")


def inputs_of(identity: Mapping[str, Any], targets: Sequence["Target"]) -> "MoleculeInputs":
    """Return what a model of graphs with these settings (`MoleculeSettings.identity()`) is built from."""
    from psigraph.models.regional.inputs import FeatureColumns, MoleculeInputs

    columns = {
        f"{per}s": tuple(FeatureColumns(name, width, quantum) for name, width, quantum in identity[f"{per}_features"])
        for per in PER
    }
    return MoleculeInputs(
        targets=tuple(targets), cutoff=identity["cutoff"], region_cutoff=identity["region_cutoff"], **columns
    )
