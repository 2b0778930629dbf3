"""What of a new dimer lies outside the data that a model was trained on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psigraph.structures.elements import symbol_of
from psigraph.structures.model import Structure


def _elements(structure: Structure, _separation: float, meta: Mapping[str, Any]) -> str | None:
    unknown = sorted(set(map(int, structure.z)) - set(map(int, meta["elements"])))
    return f"elements not in training: {', '.join(map(symbol_of, unknown))}" if unknown else None


def _charges(structure: Structure, _separation: float, meta: Mapping[str, Any]) -> str | None:
    found = tuple(sorted(map(int, structure.charge)))
    known = {tuple(sorted(map(int, pair))) for pair in meta["training_ranges"]["charges"]}
    return f"charges {found[0]:+d} and {found[1]:+d} not in training" if found not in known else None


def _size(structure: Structure, _separation: float, meta: Mapping[str, Any]) -> str | None:
    low, high = meta["training_ranges"]["n_atoms"]
    return None if low <= structure.n_atoms <= high else f"{structure.n_atoms} atoms, in training {low} to {high}"


def _separation(_structure: Structure, separation: float, meta: Mapping[str, Any]) -> str | None:
    low, high = meta["training_ranges"]["R_angstrom"]
    slack = 1e-6 * high
    inside = low - slack <= separation <= high + slack
    return None if inside else f"R {separation:.2f} Å, in training {low:.2f} to {high:.2f} Å"


#: What is compared with the training data, by the name of its column.
CHECKS: dict[str, Callable[[Structure, float, Mapping[str, Any]], str | None]] = {
    "elements": _elements,
    "charges": _charges,
    "size": _size,
    "R": _separation,
}


def novelty(structure: Structure, separation: float, metas: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what of a dimer lies outside the training data of any model: {check: what and the trained range}."""
    found: dict[str, str] = {}
    for name, compare in CHECKS.items():
        texts = [text for meta in metas if (text := compare(structure, separation, meta))]
        if texts:
            found[name] = texts[0] if len(texts) == len(metas) else f"{texts[0]} ({len(texts)} of {len(metas)} models)"
    return found
