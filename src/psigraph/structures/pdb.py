"""Atoms of a PDB file, read by columns, with elements found where the element column is missing or wrong.

Format: wwPDB, "Protein Data Bank Contents Guide", version 3.3, section ATOM: name 13-16, altLoc 17, resName 18-20,
coordinates 31-54, element 77-78. An atom name begins with its element symbol, right-justified in columns 13-14.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psigraph.structures.elements import NUMBERS
from psigraph.structures.reading import RowError

#: Residues whose atoms are all H, C, N, O, P or S, so that `CA` is a carbon however it is aligned.
STANDARD_RESIDUES = frozenset(
    """
    ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL HID HIE HIP CYX CYM ASH GLH LYN
    ACE NME NMA NH2 A C G U I DA DC DG DT DU HOH WAT TIP TP3 SOL
    """.split()  # noqa: SIM905
)
_LIGHT = ("H", "D", "C", "N", "O", "P", "S")
#: Two-letter symbols that a left-justified name in a file without alignment still means.
_UNAMBIGUOUS = frozenset(s.upper() for s in NUMBERS if len(s) == 2 and (s[0] not in NUMBERS or s in ("Cl", "Br", "Si")))


@dataclass(frozen=True)
class _Atom:
    name: str  # four characters, alignment kept
    residue: str
    element: str
    position: tuple[float, float, float]
    line: int


def read_pdb(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return atomic numbers (N,) and positions (N, 3) [Å] of the first model; of alternate locations the first.

    Raises RowError naming file and line for coordinates that are no finite numbers, an unknown element, or no atoms.
    """
    atoms = _atoms(path)
    if not atoms:
        raise RowError(f"{path.name}: holds no ATOM or HETATM record")
    aligned = _is_aligned([a.name for a in atoms])
    numbers = []
    for atom in atoms:
        symbol = element_of(atom.name, atom.residue, atom.element, aligned=aligned)
        if symbol is None:
            raise RowError(
                f"{path.name}, line {atom.line}: no element from columns 77-78 {atom.element!r} and atom name "
                f"{atom.name!r} of residue {atom.residue!r}; known are H to Xe"
            )
        numbers.append(NUMBERS[symbol])
    return np.array(numbers), np.array([a.position for a in atoms])


def element_of(name: str, residue: str, element: str, *, aligned: bool = True) -> str | None:
    """Return the element symbol of one atom, or None.

    `name` keeps its four columns. In this order: the element column where it holds a symbol (H to Xe, or D); a residue
    that is named as the atom (an ion, `CA` in residue `CA`); in a standard residue the first letter; a blank or digit
    in column 13: one letter; a letter there: two letters where they are a symbol, except hydrogen names with digits
    (`HG11`, `HE1`). `aligned=False` (the file starts one-letter elements in column 13 too) takes two letters only where
    the first alone is no element, or for Cl, Br and Si, or where the second is written in lower case.
    """
    column = _symbol(element)
    if column:
        return column
    letters = "".join(c for c in name if c.isalpha())
    if not letters:
        return None
    first, two = _symbol(letters[0]), _symbol(letters[:2])
    if len(letters) == 2 and letters.upper() == residue.upper() and two:
        return two
    if residue.upper() in STANDARD_RESIDUES and letters[0].upper() in _LIGHT:
        return first
    if two and name[:2].isalpha() and len(name.strip()) > 1:
        if letters[0].isupper() and letters[1].islower():
            return two
        hydrogen_name = letters[0].upper() == "H" and len(name.strip()) > 2
        if not hydrogen_name and (aligned or letters[:2].upper() in _UNAMBIGUOUS):
            return two
    return first or two


def _symbol(text: str) -> str | None:
    """The symbol that `text` is, in any case and with digits or charge after it; D is hydrogen; H to Xe only."""
    letters = "".join(c for c in text if c.isalpha()).capitalize()
    if letters == "D":
        return "H"
    return letters if NUMBERS.get(letters, 999) <= NUMBERS["Xe"] else None


def _is_aligned(names: Sequence[str]) -> bool:
    """Whether the file right-justifies symbols in columns 13-14.

    It does not where a name of fewer than four characters begins in column 13 with two that are no symbol: `C1`, `O`.
    """
    short = [n for n in names if n[0].isalpha() and len(n.strip()) < 4]
    return all(n[1].isalpha() and _symbol(n[:2]) for n in short)


def _atoms(path: Path) -> list[_Atom]:
    try:
        lines = path.read_text(encoding="utf-8", errors="strict").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RowError(f"{path.name}: cannot be read as text ({error})") from None
    atoms: list[_Atom] = []
    first_location: dict[tuple[str, str], str] = {}
    for n, line in enumerate(lines, start=1):
        if line.startswith("ENDMDL"):
            break
        if line[:6].strip() not in ("ATOM", "HETATM"):
            continue
        line = line.ljust(80)
        place = (line[21:27], line[12:16])  # chain, residue number and insertion code; atom name
        if line[16] != " " and first_location.setdefault(place, line[16]) != line[16]:
            continue
        atoms.append(_Atom(line[12:16], line[17:20].strip(), line[76:78].strip(), _position(path, line, n), n))
    return atoms


def _position(path: Path, line: str, n: int) -> tuple[float, float, float]:
    try:
        x, y, z = (float(line[a : a + 8]) for a in (30, 38, 46))
    except ValueError:
        raise RowError(f"{path.name}, line {n}: columns 31-54 {line[30:54]!r} are not three coordinates") from None
    if not np.isfinite([x, y, z]).all():
        raise RowError(f"{path.name}, line {n}: coordinates {line[30:54]!r} are not finite")
    return x, y, z
