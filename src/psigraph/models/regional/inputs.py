"""What a graphset of molecules and an experiment give a model: columns of features, targets, cutoffs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A property to learn; `extensive` where it grows with the molecule, `relative` where only differences between
    structures of one molecule count."""

    name: str
    unit: str
    extensive: bool
    relative: bool = False


@dataclass(frozen=True)
class FeatureColumns:
    """Neighbouring columns of one feature; `quantum` where Psi4 (or PySCF) computed it."""

    name: str
    width: int
    quantum: bool


@dataclass(frozen=True)
class MoleculeInputs:
    """Everything but hyperparameters that decides the shape of a model of molecules."""

    targets: tuple[Target, ...]
    atoms: tuple[FeatureColumns, ...]
    bonds: tuple[FeatureColumns, ...]
    regions: tuple[FeatureColumns, ...]
    molecules: tuple[FeatureColumns, ...]
    cutoff: float  # Å, of pairs of atoms
    region_cutoff: float  # Å, of pairs of regions

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MoleculeInputs":
        """Return what `as_dict` described."""
        columns = {
            name: tuple(FeatureColumns(**column) for column in values[name])
            for name in ("atoms", "bonds", "regions", "molecules")
        }
        return cls(
            targets=tuple(Target(**target) for target in values["targets"]),
            cutoff=float(values["cutoff"]),
            region_cutoff=float(values["region_cutoff"]),
            **columns,
        )
