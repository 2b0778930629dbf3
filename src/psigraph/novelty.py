"""What of a new dimer or molecule lies outside the data that a model was trained on."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psigraph.structures.elements import symbol_of
from psigraph.structures.model import Structure


@dataclass(frozen=True)
class Newcomer:
    """A structure to predict; separation: of the monomers of a dimer [Å]."""

    structure: Structure
    separation: float = math.nan


#: Says what is outside the training data that a checkpoint's meta describes, or None.
Check = Callable[[Newcomer, Mapping[str, Any]], str | None]


def _elements(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    unknown = sorted(set(map(int, new.structure.z)) - set(map(int, meta["elements"])))
    return f"elements not in training: {', '.join(map(symbol_of, unknown))}" if unknown else None


def _heavy_elements(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    """As `_elements`, of models that do not see hydrogen."""
    return _elements(new, {**meta, "elements": [*meta["elements"], 1]})


def _charges(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    found = tuple(sorted(map(int, new.structure.charge)))
    known = {tuple(sorted(map(int, pair))) for pair in meta["training_ranges"]["charges"]}
    return f"charges {found[0]:+d} and {found[1]:+d} not in training" if found not in known else None


def _charge(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    found = int(new.structure.charge[0])
    return None if found in meta["training_ranges"]["charges"] else f"charge {found:+d} not in training"


def _size(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    return _outside(new.structure.n_atoms, meta["training_ranges"]["n_atoms"], "atoms")


def _heavy(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    return _outside(int((new.structure.z > 1).sum()), meta["training_ranges"]["n_heavy"], "heavy atoms")


def _outside(count: int, limits: Sequence[int], what: str) -> str | None:
    low, high = limits
    return None if low <= count <= high else f"{count} {what}, in training {low} to {high}"


def _separation(new: Newcomer, meta: Mapping[str, Any]) -> str | None:
    separation = new.separation
    low, high = meta["training_ranges"]["R_angstrom"]
    slack = 1e-6 * high
    inside = low - slack <= separation <= high + slack
    return None if inside else f"R {separation:.2f} Å, in training {low:.2f} to {high:.2f} Å"


#: What is compared with the training data, by the name of its column.
CHECKS_OF_DIMERS: dict[str, Check] = {"elements": _elements, "charges": _charges, "size": _size, "R": _separation}
CHECKS_OF_MOLECULES: dict[str, Check] = {
    "elements": _elements,
    "charge": _charge,
    "n_atoms": _size,
    "n_heavy": _heavy,
}
CHECKS_OF_COMPLEXES: dict[str, Check] = {"elements": _heavy_elements, "charge": _charge, "n_heavy": _heavy}


def novelty(new: Newcomer, metas: Sequence[Mapping[str, Any]], checks: Mapping[str, Check]) -> dict[str, str]:
    """Return what lies outside the training data of any model: {check: what and the trained range}."""
    found: dict[str, str] = {}
    for name, compare in checks.items():
        texts = [text for meta in metas if (text := compare(new, meta))]
        if texts:
            found[name] = texts[0] if len(texts) == len(metas) else f"{texts[0]} ({len(texts)} of {len(metas)} models)"
    return found
