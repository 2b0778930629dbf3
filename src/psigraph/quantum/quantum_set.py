"""Features of many structures, in the order of their structure store."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from psigraph.quantum.model import OK
from psigraph.stores import StoreError

REMEDY = "snakemake --cores 8 features"


@dataclass(frozen=True)
class QuantumSet:
    """Features of n structures, row i belonging to structure i. Failed rows are NaN, integers 0.

    `values` by feature: system (n, S, *shape) with S = 3 (dimer, A, B) where there is a dimer, else 1; structure
    (n, *shape); others flat (Σ rows, *shape), structure i at `rows(scope, i)`.
    """

    ids: np.ndarray  # (n,) text
    status: np.ndarray  # (n,) text: ok, input, resources, convergence or random
    message: np.ndarray  # (n,) text
    origin: np.ndarray  # (n, 3) Å, what moments refer to
    n_systems: np.ndarray  # (n,) 1 for a molecule, 3 for a dimer
    values: Mapping[str, np.ndarray]
    offsets: Mapping[str, np.ndarray]  # scope -> (n+1,) int64
    settings: Mapping[str, Any]  # program, level, feature_version, features
    digests: Mapping[str, str]  # file -> content digest
    structures_digest: str  # of the structure store that was computed
    psi4_version: str
    attempts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=object))  # (n,) text, a line per SCF attempt
    wall_time: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (n,) s; (0,) both where they were not read
    remedy: str = field(default=REMEDY, repr=False)

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def ok(self) -> np.ndarray:
        """Which rows hold features (n,) bool."""
        return self.status == OK

    def rows(self, scope: str, i: int) -> slice:
        """Return the rows of structure i in the features of a scope: atom, bond, nbo, donation or element."""
        return slice(int(self.offsets[scope][i]), int(self.offsets[scope][i + 1]))

    def atoms(self, i: int) -> slice:
        """Return the rows of structure i in the features by atom."""
        return self.rows("atom", i)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a feature. Raises StoreError saying where to ask for it, where the store does not hold it."""
        if name in self.values:
            return self.values[name]
        raise missing_feature(name, next(iter(self.digests), ""), self.settings, tuple(self.values), self.remedy)


def missing_feature(
    name: str, path: str | Path, settings: Mapping[str, Any], held: Collection[str], remedy: str
) -> StoreError:
    """Return the error for a feature that quantum files do not hold: it says where to ask for it."""
    key = f"levels.{Path(path).parent.name}.features" if settings.get("level") else "the configuration"
    return StoreError(
        f"{path}: does not hold feature {name!r}, only {', '.join(held)}; add {name} to {key} and run: {remedy}"
    )
