"""Which function computes which feature, and which features a list of names stands for."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from psigraph.quantum.table import FEATURES

#: What every calculation stores, asked for or not.
ALWAYS = ("energy",)

#: name -> function of an `Scf` that returns the feature, or a dictionary with several.
COMPUTE: dict[str, Callable[[Any], Any]] = {}


def computes(*names: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register a function of one `Scf` under features of the table; with several names it returns them by name."""

    def register(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        for name in names:
            if name not in FEATURES:
                raise KeyError(f"feature {name!r} is not in the table")
            COMPUTE[name] = function
        return function

    return register


def closure(name: str) -> set[str]:
    """Return a feature and all that are stored with it."""
    feature = FEATURES[name]
    implied = (*feature.implies, "bonds") if feature.per == "bond" and name != "bonds" else feature.implies
    return {name}.union(*(closure(other) for other in implied))


def select(names: Iterable[str]) -> tuple[str, ...]:
    """Return the features that `names` stand for, in the table's order; `default` stands for those on by default.

    Raises ValueError with a suggestion for an unknown name.
    """
    wanted = set(ALWAYS)
    for name in names:
        if name == "default":
            wanted |= {f.name for f in FEATURES.values() if f.default}
        elif name in FEATURES:
            wanted |= closure(name)
        else:
            close = difflib.get_close_matches(name, ["default", *FEATURES], n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"unknown feature {name!r}{hint}; docs/features.md lists all")
    return tuple(name for name in FEATURES if name in wanted)
