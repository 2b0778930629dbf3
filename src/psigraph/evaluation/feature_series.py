"""Every number of a store of features as named series: what a histogram shows and where an outlier is looked for.

Tensors (dipole, quadrupole, ...) count by their norm, which does not turn with the molecule; other features of several
components give one series each. Indices (which atoms a bond joins) are no quantities and are left out.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from psigraph.quantum.store import QuantumSet
from psigraph.quantum.table import FEATURES, Feature
from psigraph.structures.elements import symbol_of
from psigraph.structures.model import StructureSet

#: Scopes in the order of the page, and how it calls them.
SCOPES: Mapping[str, str] = {
    "system": "Of the whole structure, by one calculation",
    "structure": "Of the whole structure, by several calculations or none",
    "atom": "Of atoms",
    "bond": "Of bonds",
    "nbo": "Of natural bond orbitals",
    "donation": "Of donor-acceptor pairs",
    "element": "Of density-matrix blocks, element by element",
}
EVERYTHING = "all"  # the label of values that are not divided by element


@dataclass(frozen=True)
class Series:
    """One component of one feature; values that are not finite are counted and left out."""

    feature: Feature
    name: str
    values: np.ndarray  # (m,)
    structure: np.ndarray  # (m,) rows of the structure store
    place: np.ndarray  # (m,) number of the atom, bond, ... within its structure, from 0
    label: np.ndarray  # (m,) text: element of the atom, or EVERYTHING
    missing: int

    @property
    def discrete(self) -> bool:
        """Whether the values are labels or counts."""
        return np.dtype(self.feature.dtype).kind in "iu"


def is_quantity(name: str) -> bool:
    """Whether a feature is a quantity: atoms, shapes and rows (int32) are not."""
    return FEATURES[name].dtype != "int32"


def series_of(table: QuantumSet, structures: StructureSet, scope: str) -> Iterator[Series]:
    """Yield the series of all features of a scope that the store holds, of successful structures."""
    names = [name for name in table.values if FEATURES[name].per == scope and is_quantity(name)]
    if not names:
        return
    structure, place, label = _rows(table, structures, scope)
    chosen = table.ok[structure]
    for name in names:
        values = table[name][:, 0] if scope == "system" else table[name]
        for component, column in _components(FEATURES[name], np.asarray(values)):
            finite = chosen & np.isfinite(column)
            yield Series(
                feature=FEATURES[name],
                name=component,
                values=column[finite].astype(float),
                structure=structure[finite],
                place=place[finite],
                label=label[finite],
                missing=int(chosen.sum() - finite.sum()),
            )


def _rows(table: QuantumSet, structures: StructureSet, scope: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return structure, place within it and label of every row of a scope, each (m,)."""
    if scope in ("system", "structure"):
        structure, place = np.arange(table.n), np.zeros(table.n, dtype=np.int64)
    else:
        offsets = table.offsets[scope]
        structure = np.repeat(np.arange(table.n), np.diff(offsets))
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    if scope == "atom":
        return structure, place, np.array([symbol_of(int(z)) for z in structures.z], dtype=object)
    return structure, place, np.full(len(structure), EVERYTHING, dtype=object)


def _components(feature: Feature, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and values (m,) of the components of values (m, *shape): the norm over Cartesian axes, else each."""
    if feature.rank:
        axes = tuple(range(values.ndim - feature.rank, values.ndim))
        values = np.sqrt(np.square(values).sum(axis=axes))
        yield f"norm of {feature.name}", values
        return
    if not feature.shape:
        yield feature.name, values
        return
    flat = values.reshape(len(values), math.prod(feature.shape))
    for number, index in enumerate(np.ndindex(*feature.shape)):
        yield f"{feature.name}[{', '.join(map(str, index))}]", flat[:, number]
