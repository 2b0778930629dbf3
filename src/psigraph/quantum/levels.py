"""Levels of theory as plain dictionaries: checked, completed and brought to one spelling.

The schema for people is `psigraph.config.Level`; this is the same list without pydantic, which the Psi4 interpreter
has not.
"""

import difflib
from collections.abc import Mapping
from typing import Any

METHODS = ("hf",)
SCF_TYPES = ("df", "pk", "direct")
_TYPES: dict[str, type] = {
    "method": str,
    "basis": str,
    "scf_type": str,
    "e_convergence": float,
    "d_convergence": float,
    "max_iterations": int,
}


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
    result: dict[str, Any] = {}
    for key, kind in _TYPES.items():
        if key not in level:
            raise LevelError(f"level: key {key!r} is missing; give all of {', '.join(_TYPES)}")
        value = level[key]
        try:
            result[key] = str(value).lower() if kind is str else kind(value)
        except (TypeError, ValueError):
            raise LevelError(f"level: {key}: {value!r} is not a number") from None
        if kind is not str and not result[key] > 0:
            raise LevelError(f"level: {key}: {value!r} is not above zero")
    for key, choices in (("method", METHODS), ("scf_type", SCF_TYPES)):
        if result[key] not in choices:
            raise LevelError(f"level: {key}: {level[key]!r} is unknown; known: {', '.join(choices)}")
    return result
