"""Psi4's molecule text: fragments, charges, units, ghosts, dummies, variables."""

import re
from dataclasses import dataclass

import numpy as np

from psigraph.structures.elements import number_of
from psigraph.structures.zmatrix import place_atoms
from psigraph.units import BOHR_RADIUS

_UNITS = {"angstrom": 1.0, "ang": 1.0, "angstroms": 1.0, "bohr": BOHR_RADIUS, "au": BOHR_RADIUS, "a.u.": BOHR_RADIUS}
_IGNORED = ("no_com", "no_reorient", "nocom", "noreorient", "symmetry", "pubchem")
#: `He`, `He1`, `H_a`, ghosts `@He` and `Gh(He)`, isotopes `H@2.014`.
_LABEL = re.compile(r"^(?P<ghost>@|Gh\()?(?P<symbol>[A-Za-z]{1,2})(?:_\w+|\d+)?(?:@[\d.]+)?\)?$", re.IGNORECASE)


@dataclass(frozen=True)
class MoleculeText:
    """A parsed molecule: real atoms only."""

    z: np.ndarray  # (N,)
    positions: np.ndarray  # (N, 3) Å
    fragment: np.ndarray  # (N,) 0-based fragment of each atom
    charge: tuple[int, ...]  # of each fragment
    multiplicity: tuple[int, ...]  # of each fragment


def parse_molecule(text: str) -> MoleculeText:
    """Parse Psi4's molecule text.

    Dummy atoms `X` and ghost atoms place others and are dropped. A fragment without a charge line is a neutral singlet.
    Lengths are in Å unless the text says otherwise. Raises ValueError naming the line.
    """
    atoms: list[list[str]] = []
    fragments: list[int] = []
    states: list[tuple[int, int]] = [(0, 1)]
    variables: dict[str, float] = {}
    factor = 1.0
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        words = line.split()
        if not words or words[0].lower() in _IGNORED:
            continue
        if line.startswith("--"):
            states.append((0, 1))
        elif words[0].lower() == "units":
            factor = _unit(line)
        elif "=" in line:
            name, _, value = line.partition("=")
            variables[name.strip()] = float(value)
        elif len(words) == 2 and re.fullmatch(r"[+-]?\d+\s+\d+", line):
            states[-1] = (int(words[0]), int(words[1]))
        else:
            atoms.append(words)
            fragments.append(len(states) - 1)
    numbers = [_number(words[0]) for words in atoms]
    real = np.array([n > 0 for n in numbers], dtype=bool)
    return MoleculeText(
        z=np.array(numbers, dtype=np.int64)[real],
        positions=place_atoms(atoms, variables)[real] * factor,
        fragment=np.array(fragments, dtype=np.int64)[real],
        charge=tuple(s[0] for s in states),
        multiplicity=tuple(s[1] for s in states),
    )


def _unit(line: str) -> float:
    name = line.split()[-1].lower()
    if name not in _UNITS:
        raise ValueError(f"line {line!r}: unknown unit of length; known: {', '.join(_UNITS)}")
    return _UNITS[name]


def _number(label: str) -> int:
    """Atomic number; 0 for a dummy or ghost atom."""
    match = _LABEL.match(label)
    if match is None:
        raise ValueError(f"cannot read the atom label {label!r}")
    if match["symbol"].upper() == "X" or match["ghost"]:
        return 0
    return number_of(match["symbol"])
