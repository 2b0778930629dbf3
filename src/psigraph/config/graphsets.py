"""`graphsets`: named kinds of graphs, one class for each family."""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from psigraph.config.base import Name, Section, did_you_mean
from psigraph.config.datasets import EnergyUnit
from psigraph.graphs.complex_settings import CHARGES, check_radii
from psigraph.graphs.regional_table import PER, columns_of, features_of_molecules
from psigraph.graphs.settings import BASELINES, features_of_graphs
from psigraph.quantum.table import FEATURES

MAX_CUTOFF = 50.0  # Å


def _cutoff(value: float) -> float:
    if not math.isfinite(value) or not 0 < value <= MAX_CUTOFF:
        raise ValueError(f"cutoff must be above 0 and at most {MAX_CUTOFF:g} Å, got {value}")
    return value


Cutoff = Annotated[float, AfterValidator(_cutoff)]


class GraphsetBase(Section):
    datasets: list[Name] = Field(min_length=1, description="names of datasets, concatenated")
    shards: int = Field(4, ge=1, description="number of HDF5 files")

    @property
    def computed_datasets(self) -> list[str]:
        """The datasets for which programs compute what its level gives."""
        return self.datasets


class DeltaGraphset(GraphsetBase):
    """Graphs of dimers: which structures, which features, which cutoff."""

    family: Literal["delta"] = Field(description="learning task")
    level: str | None = Field(description="a level of `levels`; `given` for features in the raw data; null for none")
    v0: Literal["hf", "hf-d4", "mp2", "sapt0", "column", "zero"] = Field(
        "hf",
        description="baseline V_0: the counterpoise-corrected interaction energy by HF, HF with D4 or MP2, the "
        "one by SAPT0, the raw data's column, or 0",
    )
    atom_features: list[str] = Field(
        ["mulliken_spd"], description="features of atoms that models see, in this order; names of docs/features.md"
    )
    multipoles: bool = Field(True, description="whether the field node carries the dimer's dipole and quadrupole")
    participation: bool = Field(True, description="whether u carries the participation ratio PR; 0 if not")
    unit: EnergyUnit = Field("kcal/mol", description="unit of V in shards, models and reports")
    cutoff: Cutoff = Field(12.0, description="neighbour cutoff between atoms [Å]")
    length_scale: float = Field(0.1, gt=0, description="internal length unit per Å")

    @field_validator("atom_features")
    @classmethod
    def _atom_features(cls, names: list[str]) -> list[str]:
        return check_features(names, "atom")

    @model_validator(mode="after")
    def _baseline(self) -> "DeltaGraphset":
        if BASELINES[self.v0] and self.level in (None, "given"):
            raise ValueError(
                f"v0: {self.v0} needs a level of theory that Psi4 computes; name one, or take v0: column or zero"
            )
        return self

    def needed_features(self) -> tuple[str, ...]:
        """The features its graphs are made of, where its level is one that Psi4 computes."""
        return features_of_graphs(self.atom_features, self.v0, self.multipoles, self.participation)


class RegionalGraphset(GraphsetBase):
    """Graphs of molecules with their regions: which structures, which features, which regions, which cutoffs."""

    family: Literal["regional"] = Field(description="learning task")
    level: str | None = Field(None, description="a level of `levels`; null: no features from Psi4")
    computed: list[Name] | None = Field(
        None,
        description="those of `datasets` that are computed at the level, [] for none; null: all. What the level gives "
        "is not known of the others (NaN), so that encoders pretrained on Psi4's features fit tables without them",
    )
    cutoff: Cutoff = Field(5.0, description="longest distance of a pair of atoms [Å]")
    region_cutoff: Cutoff = Field(15.0, description="longest distance of a pair of regions [Å]")
    regions: Literal["bonded", "k_hop", "patches"] = Field(
        "bonded",
        description="bonded: each atom with those bound to it; k_hop: each atom with those at most `hops` bonds away; "
        "patches: parts that do not overlap, of about `patch_atoms` atoms each",
    )
    hops: int = Field(2, ge=1, le=8, description="k_hop: bonds from the centre")
    patch_atoms: int = Field(6, ge=1, description="patches: atoms of a part")
    atom_features: list[str] | None = Field(
        None, description="columns of atoms, names of docs/features.md#regional; null: the defaults given there"
    )
    bond_features: list[str] | None = Field(None, description="columns of bonds, likewise")
    region_features: list[str] | None = Field(None, description="columns of regions, likewise")
    molecule_features: list[str] | None = Field(None, description="columns of the molecule as a whole, likewise")

    @field_validator("level")
    @classmethod
    def _level(cls, level: str | None) -> str | None:
        if level == "given":
            raise ValueError("level: given is for dimers of a raw folder; name a level of `levels`, or null for none")
        return level

    @model_validator(mode="after")
    def _computed(self) -> "RegionalGraphset":
        if self.computed is not None and self.level is None:
            raise ValueError("computed: names datasets that a level of theory is computed for; name the level too")
        for name in self.computed or ():
            if name not in self.datasets:
                raise ValueError(f"computed: {name!r} is none of datasets: {', '.join(self.datasets)}")
        return self

    @property
    def computed_datasets(self) -> list[str]:
        return self.datasets if self.computed is None else self.computed

    @model_validator(mode="after")
    def _features(self) -> "RegionalGraphset":
        for per, names in self._chosen().items():
            columns_of(per, names, self.level is not None)
        return self

    def _chosen(self) -> dict[str, list[str] | None]:
        return {per: getattr(self, f"{per}_features") for per in PER}

    def needed_features(self) -> tuple[str, ...]:
        """The features its graphs are made of, from all programs that its level, or the lack of one, allows."""
        return features_of_molecules(self._chosen(), self.level is not None)


class AffinityGraphset(GraphsetBase):
    """Complexes: which atoms of the protein stand around a ligand, which contacts, which charges."""

    family: Literal["affinity"] = Field(description="learning task")
    level: str | None = Field(None, description="charges psi4: a level of `levels`; else null")
    charges: Literal["gasteiger", "psi4"] = Field(
        "gasteiger",
        description="partial charges of ligands: gasteiger, by RDKit; psi4, Mulliken's at the level of theory",
    )
    protein_radius: Cutoff = Field(12.0, description="the protein's atoms this near an atom of the ligand are kept [Å]")
    pocket_radius: Cutoff = Field(6.0, description="residues with an atom this near the ligand are the pocket [Å]")
    contact_cutoff: Cutoff = Field(4.5, description="longest distance of an atom of the ligand and one it touches [Å]")

    @model_validator(mode="after")
    def _fits(self) -> "AffinityGraphset":
        check_radii(self.protein_radius, self.pocket_radius, self.contact_cutoff)
        if (self.charges == "psi4") != (self.level is not None) or self.level == "given":
            raise ValueError("charges: psi4 and a level of `levels` belong together; name both or neither")
        return self

    def needed_features(self) -> tuple[str, ...]:
        """The features its samples are made of."""
        return CHARGES[self.charges]


def check_features(names: list[str], per: str) -> list[str]:
    """Return names of the table's features of atoms or bonds. Raises ValueError for others and repeated ones."""
    known = [name for name, feature in FEATURES.items() if feature.per == per]
    for name in names:
        if name not in known:
            raise ValueError(f"no feature of {per}s {name!r}{did_you_mean(name, known)}; see docs/features.md")
    if len(set(names)) != len(names):
        raise ValueError(f"{per}_features name a feature twice: {', '.join(names)}")
    return names


Graphset = Annotated[DeltaGraphset | RegionalGraphset | AffinityGraphset, Field(discriminator="family")]
