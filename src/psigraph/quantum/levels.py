"""Levels of theory as plain dictionaries: checked, completed and brought to one spelling. Standard library only.

The schema for people is `psigraph.config.Level`; this is the same list without pydantic, which the Psi4 interpreter
has not.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from psigraph.quantum.table import FEATURES

METHODS = ("hf",)
SCF_TYPES = ("df", "pk", "direct")
REFERENCES = ("auto", "rohf")
_TYPES: dict[str, type] = {
    "method": str,
    "basis": str,
    "scf_type": str,
    "reference": str,
    "e_convergence": float,
    "d_convergence": float,
    "max_iterations": int,
}
_CHOICES = {"method": METHODS, "scf_type": SCF_TYPES, "reference": REFERENCES}
#: What a level that does not say it gets.
_DEFAULTS = {"reference": "auto"}


class LevelError(ValueError):
    """A level of theory cannot be used; the message names the key, its value and what is possible."""


def normalise_level(level: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `level` with fixed types and lower-case names, so that equal levels compare equal.

    e_convergence is in hartree, d_convergence the RMS orbital gradient. Raises LevelError for an unknown or missing key
    and for a value outside its choices.
    """
    for key in level:
        if key not in _TYPES:
            close = difflib.get_close_matches(key, _TYPES, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise LevelError(f"level: unknown key {key!r}{hint}; known: {', '.join(_TYPES)}")
    given = {**_DEFAULTS, **level}
    result: dict[str, Any] = {}
    for key, kind in _TYPES.items():
        if key not in given:
            raise LevelError(f"level: key {key!r} is missing; give all of {', '.join(_TYPES)}")
        value = given[key]
        try:
            result[key] = str(value).lower() if kind is str else kind(value)
        except (TypeError, ValueError, OverflowError):
            raise LevelError(f"level: {key}: {value!r} is not a number") from None
        if kind is not str and not result[key] > 0:
            raise LevelError(f"level: {key}: {value!r} is not above zero")
    for key, choices in _CHOICES.items():
        if result[key] not in choices:
            raise LevelError(f"level: {key}: {given[key]!r} is unknown; known: {', '.join(choices)}")
    return result


def reference_of(level: Mapping[str, Any], multiplicity: int) -> str:
    """Return Psi4's name of the reference: rhf for singlets; uhf, or rohf where the level says so, for the rest."""
    if multiplicity == 1:
        return "rhf"
    return "rohf" if level["reference"] == "rohf" else "uhf"


#: (feature, key of the level, values it can be computed with, why no other)
_NEEDS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("polarizability", "reference", ("auto",), "Psi4 1.3.2 solves the response equations for RHF and UHF only"),
    ("mp2_correlation", "reference", ("auto",), "Psi4 1.3.2 has MP2 on density fitting for RHF and UHF only"),
)
#: Features that need one function per m = -l ... l: which basis sets have them only Psi4 knows, see `cartesian_error`.
SPHERICAL: tuple[str, ...] = (
    "npa_charge",
    "npa_spd",
    "npa_valence",
    "wiberg_nao",
    "bond_nbo",
    "bond_hybrid",
    "bond_donation",
    "block_shape",
    *(feature.name for feature in FEATURES.values() if feature.per in ("nbo", "donation", "element")),
)


def check_level(level: Mapping[str, Any], features: Iterable[str]) -> None:
    """Raise LevelError where Psi4 1.3.2 cannot compute one of `features` (names of the table) at `level` (normalised).

    The message names the key, its value and the two ways out. Which basis sets exist is checked when Psi4 starts.
    """
    names = set(features)
    for feature, key, possible, why in _NEEDS:
        if feature in names and level[key] not in possible:
            raise LevelError(
                f"level: {key}: {level[key]!r} does not go with the feature {feature!r}: {why}; "
                f"set {key} to {' or '.join(map(repr, possible))}, or take {feature!r} out of the level's features"
            )


def cartesian_error(basis: str, features: Iterable[str]) -> str | None:
    """Return why `features` cannot be computed in `basis`, which has Cartesian functions; None where they can."""
    names = [name for name in SPHERICAL if name in set(features)]
    if not names:
        return None
    return (
        f"level: basis: {basis!r} has Cartesian d functions (six to a shell), and the features {', '.join(names)} need "
        "spherical ones; take another basis, e.g. def2-svp, or take them out of the level's features"
    )
